"""The cache invalidator's metrics, named once. Never a label by tenant, entity or entity type: callers choose them."""

from prometheus_client import Counter, Histogram

PURGES = Counter("cache_invalidator_purges_total", "Entities purged, repeated ones included.")
PURGED_ENTRIES = Counter("cache_invalidator_purged_entries_total", "Cached predictions and features that were purged.")
PURGE_SECONDS = Histogram(
    "cache_invalidator_purge_seconds",
    "How long the cache took for one batch of purges.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0),
)
PURGE_AGE_SECONDS = Histogram(
    "cache_invalidator_purge_age_seconds",
    "From the moment an entity changed, as its system of record says, to its purge.",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 10.0, 60.0, 600.0),
)
