"""The metrics of whoever answers calls, named once. Never a label by actor, token or project."""

from prometheus_client import Counter, Gauge

UNAUTHENTICATED = Counter(
    "runtime_unauthenticated_calls_total",
    "Calls that did not prove who sent them. `reason` is missing, unknown, expired, revoked, malformed, header, issuer,"
    " key or claims.",
    ["reason"],
)
REFUSED = Counter(
    "runtime_refused_calls_total",
    "Calls of known callers that lacked a permission; each is in a fact for the audit log.",
    ["permission"],
)
DEGRADED = Gauge(
    "runtime_degraded_parts",
    "Parts of the service that need a person though the service does its job; `/readyz` says which and why.",
)
STATE_RECORDS_REFUSED = Counter(
    "runtime_state_records_refused_total",
    "Records on state topics that the registry did not sign; they are ignored.",
    ["topic"],
)
HTTP_CONNECTIONS = Gauge("runtime_http_connections", "Connections that are open to this process.")
HTTP_REFUSED = Counter(
    "runtime_http_connections_refused_total",
    "Connections that the server closed before a request had come in whole, or was read to its end. `reason` is"
    " malformed, request_line_too_long, headers_too_large, too_slow, nothing_came, too_many_connections,"
    " idle_made_room or answer_not_read.",
    ["reason"],
)
