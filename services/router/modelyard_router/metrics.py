"""The router's metrics, named once. Never a label by tenant, entity, unit or digest."""

from prometheus_client import Counter, Gauge, Histogram

ROUTE_RECORDS = Counter(
    "router_route_records_total",
    "Records read from the routes topic. `outcome` is applied, stale, tombstone, unknown or poison.",
    ["outcome"],
)
ROUTES = Gauge("router_routes", "Routes in the routing table.")
ROUTE_AGE = Gauge("router_route_age_seconds", "Time since Kafka last confirmed that the routing table is complete.")
DECISIONS = Counter(
    "router_decisions_total",
    "Answers of /v1/route and decisions of /v1/predict. `outcome` is the reason, or the code of the refusal.",
    ["outcome"],
)
PREDICTIONS = Counter(
    "router_predictions_total",
    "Predictions for which a version was decided. `outcome` is served, fell_back or failed.",
    ["model", "outcome", "cache"],
)
PREDICT_SECONDS = Histogram(
    "router_predict_seconds",
    "How long callers waited for a prediction, by `cache`.",
    ["cache"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
CACHE_FAILURES = Counter(
    "router_cache_failures_total",
    "Requests to the cache that failed. `operation` is read or fill.",
    ["operation"],
)
CACHE_FILLS = Counter(
    "router_cache_fills_total",
    "Fills of the cache. `outcome` is stored, refused because they might be stale, or too_large.",
    ["outcome"],
)
VERSION_MISMATCHES = Counter(
    "router_version_mismatches_total",
    "Answers that an endpoint gave for another version than the decided one.",
    ["model"],
)
SHED = Counter(
    "router_requests_shed_total",
    "Requests refused because their project has too many under way. `part` is predictions, endpoint or feature_source.",
    ["part"],
)
