"""The consumer policy's metrics, named once. `topic` is without the prefix; never a label by key or event."""

from prometheus_client import Counter, Gauge

CONSUMED = Counter(
    "runtime_consumed_records_total",
    "Records settled. `outcome` is handled, ignored, tombstone, unknown, or of those that are parked: refused (their"
    " sender's mistake), unproved (nobody proved to have sent it; unproved_dropped when too many came), parked.",
    ["topic", "group", "outcome"],
)
LAG = Gauge(
    "runtime_consumer_lag_records",
    "Records between the end of the assigned partitions and what is done.",
    ["topic", "group"],
)
AGE = Gauge(
    "runtime_consumer_age_seconds",
    "How old the last handled event is by now (now - ce_time) while others wait; 0 when nothing waits.",
    ["topic", "group"],
)
COMMITS = Counter(
    "runtime_commits_total", "Offset commits. `outcome` is done or failed.", ["topic", "group", "outcome"]
)
REBALANCES = Counter("runtime_rebalances_total", "Assignments received.", ["topic", "group"])
RETRIES = Counter(
    "runtime_retries_total",
    "Attempts that failed and are tried again. `cause` is transient, unexpected or parking.",
    ["topic", "group", "cause"],
)
DEAD_LETTERS = Counter("runtime_dead_letters_total", "Records parked.", ["topic", "group", "reason"])
HELD = Gauge(
    "runtime_consumer_held_partitions",
    "Partitions that are held because too many dead letters came; one record is tried now and then.",
    ["topic", "group"],
)
