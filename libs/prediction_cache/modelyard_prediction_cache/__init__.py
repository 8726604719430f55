"""The prediction cache's protocol on Redis: the router reads and fills, the cache invalidator purges.

One hash per entity holds everything that was computed about it. Who misses gets a lease, reads the inputs
after that, and may fill while the lease stands; a purge deletes the hash, and with it all leases. So a
prediction whose inputs were read before a purge can never be written after it, without any counter that
could be lost: values, lease and floors live and vanish together.
"""

from modelyard_prediction_cache.cache import (
    VALUE_BYTES_MAX,
    Cache,
    CachedFeatures,
    CacheUnavailableError,
    Entity,
    Lease,
    Purge,
    Reading,
)
from modelyard_prediction_cache.fields import features_field, inputs_hash, prediction_field
from modelyard_prediction_cache.memory_cache import MemoryPredictionCache
from modelyard_prediction_cache.redis_cache import PredictionCache, connect, random_nonce

__all__ = [
    "VALUE_BYTES_MAX",
    "Cache",
    "CacheUnavailableError",
    "CachedFeatures",
    "Entity",
    "Lease",
    "MemoryPredictionCache",
    "PredictionCache",
    "Purge",
    "Reading",
    "connect",
    "features_field",
    "inputs_hash",
    "prediction_field",
    "random_nonce",
]
