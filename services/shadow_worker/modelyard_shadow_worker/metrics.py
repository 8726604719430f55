"""The shadow worker's metrics, named once."""

from prometheus_client import Counter, Gauge, Histogram

REPLAYS = Counter(
    "shadow_worker_replays_total",
    "Replays that have ended. `outcome` is compared, failed, expired or dropped.",
    ["model", "outcome"],
)
VERDICTS = Counter("shadow_worker_verdicts_total", "Compared pairs: match or drift.", ["model", "verdict"])
RETRIES = Counter("shadow_worker_retries_total", "Attempts that failed and were tried again.", ["model"])
REPLAY_SECONDS = Histogram(
    "shadow_worker_replay_seconds",
    "How long the shadow took to answer, by the attempt that worked.",
    ["model"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
REPLAYS_IN_FLIGHT = Gauge("shadow_worker_replays_in_flight", "Replays under way.")
