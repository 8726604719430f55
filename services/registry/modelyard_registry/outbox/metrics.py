"""What the relay measures."""

from prometheus_client import Counter, Gauge, Histogram

RELAY_LEADER = Gauge("relay_leader", "1 while this process publishes the outbox, 0 while another one does.")
RELAY_OUTBOX_ROWS = Gauge(
    "relay_outbox_rows", "Rows that wait in the outbox, counted up to 100,000; not those set aside."
)
RELAY_LAG_SECONDS = Gauge("relay_lag_seconds", "Age of the oldest row that waits in the outbox.")
RELAY_SET_ASIDE_ROWS = Gauge(
    "relay_set_aside_rows",
    "Rows that the broker refuses: each waits, with what is behind it, until a person releases it.",
)
RELAY_PUBLISHED = Counter("relay_published_total", "Records that the broker acknowledged.", ["topic"])
RELAY_FAILURES = Counter("relay_failures_total", "Sends that failed and are tried again.", ["topic"])
RELAY_REPAIRS = Counter("relay_repairs_total", "Documents said again because an older or an unsigned one came last.")
RELAY_KEYS_AHEAD = Gauge(
    "relay_keys_ahead", "Keys of which a state topic has newer signed documents than the database ever had."
)
RELAY_ROUND_SECONDS = Histogram("relay_round_seconds", "From reading rows to having deleted them.")
