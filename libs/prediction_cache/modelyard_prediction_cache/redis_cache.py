"""The cache on Redis or Valkey: three scripts, each one step on one hash.

Keys are `<prefix>{<bucket>}:<entity>`, the entity's ids with their lengths before them: ids are never
part of a pattern, and no choice of ids makes two entities share a key. The bucket is a hash tag, so that a
key about the liveness of invalidation can stand in the same slot of a cluster.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from hashlib import sha1
from importlib.resources import files
from typing import Any, cast
from zlib import crc32

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from modelyard_prediction_cache.cache import (
    FIELDS_MAX,
    HOLD_OFF_S,
    LEASE_S,
    VALUE_BYTES_MAX,
    CachedFeatures,
    CacheUnavailableError,
    Entity,
    Lease,
    Purge,
    Reading,
    refuse_invalid_fill,
    refuse_reserved,
)

BUCKETS = 256
FLOORS_MAX = 8
CONNECTIONS_MAX = 64


class Script:
    """A Lua script of this package; Redis knows it by its digest once it has seen it."""

    def __init__(self, name: str) -> None:
        self.text = files(__package__).joinpath("scripts", f"{name}.lua").read_text(encoding="utf-8")
        self.digest = sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class PredictionCache:
    """The cache on Redis.

    `timeout_s` bounds each call as a whole; `hold_off_s` is how far a replica that inputs are read from may
    lag behind the change that purged them; `lease_s` is longer than any prediction takes. `fields_max`
    bounds the values of one entity: beyond it an arbitrary one gives way. `new_nonce` answers a text
    that was never given before, in any process: `random_nonce` does.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        new_nonce: Callable[[], str],
        prefix: str = "",
        timeout_s: float = 0.05,
        hold_off_s: float = HOLD_OFF_S,
        lease_s: float = LEASE_S,
        fields_max: int = FIELDS_MAX,
        value_bytes_max: int = VALUE_BYTES_MAX,
    ) -> None:
        if "{" in prefix or "}" in prefix:
            raise ValueError(f"the cache's key prefix must not contain braces: {prefix!r}")
        if min(timeout_s, lease_s) <= 0 or hold_off_s < 0.001 or fields_max < 1:
            raise ValueError("the cache's times must be positive (hold_off_s at least 0.001), fields_max at least 1")
        self._redis = redis
        self._new_nonce = new_nonce
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._hold_off_ms = int(hold_off_s * 1_000)
        self._lease_ms = int(lease_s * 1_000)
        self._fields_max = fields_max
        self._value_bytes_max = value_bytes_max
        self._read_script = Script("read")
        self._fill_script = Script("fill")
        self._purge_script = Script("purge")

    async def read(self, entity: Entity, *, prediction: str, features: str | None = None) -> Reading:
        """See `Cache.read`."""
        refuse_reserved(prediction)
        if features is not None:
            refuse_reserved(features)
        async with self._bounded():
            found_prediction, found_features, nonce, in_hold_off = await self._run(
                self._read_script, entity, prediction, features or "", self._new_nonce(), self._lease_ms
            )
        return Reading(
            prediction=found_prediction,
            features=None if found_features is None else _features(found_features),
            lease=None if nonce is None else Lease(nonce=nonce.decode(), in_hold_off=in_hold_off == 1),
        )

    async def fill(
        self,
        entity: Entity,
        lease: Lease,
        *,
        prediction: str,
        value: bytes,
        entity_version: int | None = None,
        source: str = "",
        features: tuple[str, bytes] | None = None,
        reads_entity: bool = True,
    ) -> bool:
        """See `Cache.fill`."""
        refuse_invalid_fill(prediction=prediction, features=features, reads_entity=reads_entity)
        if len(value) > self._value_bytes_max or (features and len(features[1]) > self._value_bytes_max):
            return False
        version = "" if entity_version is None else str(entity_version)
        entries: tuple[str | bytes, ...] = (prediction, value)
        if features is not None:
            entries = (features[0], b"%s:%s" % (version.encode(), features[1]), *entries)
        async with self._bounded():
            stored = await self._run(
                self._fill_script,
                entity,
                lease.nonce,
                int(lease.in_hold_off),
                int(reads_entity),
                version,
                source,
                self._fields_max,
                *entries,
            )
        return bool(stored == 1)

    async def purge(self, entity: Entity, *, version: int | None = None, source: str = "") -> int:
        """See `Cache.purge`."""
        return (await self.purge_all([Purge(entity=entity, version=version, source=source)]))[0]

    async def purge_all(self, purges: Sequence[Purge]) -> list[int]:
        """See `Cache.purge_all`."""
        async with self._bounded():
            counts = await self._pipeline(purges)
            if any(isinstance(count, NoScriptError) for count in counts):
                # All again, in order, with the script at hand now: a purge may be repeated, not reordered.
                await self._redis.script_load(self._purge_script.text)
                counts = await self._pipeline(purges)
            for count in counts:
                if isinstance(count, Exception):
                    raise count
        return [int(count) for count in counts]

    async def ping(self) -> None:
        """See `Cache.ping`."""
        async with self._bounded():
            await cast("Any", self._redis.ping())

    async def _pipeline(self, purges: Sequence[Purge]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            digest, hold_off_ms = self._purge_script.digest.encode(), b"%d" % self._hold_off_ms
            for purge in purges:
                key = self._key(purge.entity).encode()
                version = b"" if purge.version is None else b"%d" % purge.version
                # In bytes, for redis-py looks longer at everything else.
                pipeline.execute_command(
                    "EVALSHA", digest, b"1", key, version, purge.source.encode(), hold_off_ms, b"%d" % FLOORS_MAX
                )
            return await pipeline.execute(raise_on_error=False)

    async def _run(self, script: Script, entity: Entity, *arguments: str | bytes | int) -> Any:
        key = self._key(entity)
        # redis-py's annotations want text only and name both of its worlds' answers at once.
        texts = cast("tuple[str, ...]", arguments)
        try:
            return await cast("Any", self._redis.evalsha(script.digest, 1, key, *texts))
        except NoScriptError:
            return await cast("Any", self._redis.eval(script.text, 1, key, *texts))

    def _key(self, entity: Entity) -> str:
        name = "".join(f"{len(part)}:{part}" for part in entity.key)
        return f"{self._prefix}{{pc{crc32(name.encode()) % BUCKETS}}}:{name}"

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except TimeoutError as error:
            raise CacheUnavailableError(f"the cache did not answer within {self._timeout_s:g} s") from error
        except (RedisError, OSError) as error:
            raise CacheUnavailableError(f"the cache failed: {error}") from error


def connect(url: str, *, timeout_s: float, connections_max: int = CONNECTIONS_MAX) -> Redis:
    """A client for `redis://host:port/database`, for a `PredictionCache`, which bounds each of its calls.

    It waits at most `timeout_s` for a connection. It does not retry: the caller knows whether that is worth the
    time. Opens nothing yet; close it with `aclose()`.
    """
    # A caller that finds no connection free waits for one: an error would look like a cache that is down.
    pool = BlockingConnectionPool.from_url(
        url,
        # The cache bounds the whole call. redis-py would set and cancel a timer for each answer of a pipeline, which
        # takes a third of the time of a purge.
        socket_timeout=None,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        max_connections=connections_max,
        timeout=timeout_s,
        decode_responses=False,
    )
    return Redis.from_pool(pool)


def random_nonce() -> str:
    """96 random bits: never given before, as far as this universe is concerned."""
    return secrets.token_urlsafe(12)


def _features(stored: bytes) -> CachedFeatures:
    version, _, value = stored.partition(b":")
    return CachedFeatures(version=int(version) if version else None, value=value)
