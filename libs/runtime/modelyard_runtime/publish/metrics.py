"""The metrics of facts for observers, named once."""

from prometheus_client import Counter, Gauge

FACTS_DROPPED = Counter(
    "runtime_facts_dropped_total", "Facts dropped because the queue for observers was full.", ["event_type"]
)
FACTS_PUBLISHED = Counter(
    "runtime_facts_published_total", "Facts for observers that the broker acknowledged.", ["event_type"]
)
FACTS_WAITING = Gauge("runtime_facts_waiting", "Facts in the queue for observers.", ["source"])
