"""What the registry measures at its door; the relay's metrics are beside the relay."""

import time

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_SECONDS = Histogram(
    "registry_request_seconds",
    "Requests answered, by operation and status. `operation` is `none` when the path has none.",
    ["operation", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
REFUSALS = Counter("registry_refusals_total", "Changes that the present state did not allow.", ["problem"])
FACTS_MISSING = Counter(
    "registry_facts_missing_total",
    "Facts that their source has counted and that have not come, as the gaps in its sequence tell; late ones included.",
    ["topic"],
)
ARTIFACT_BYTES = Counter("registry_artifact_bytes_total", "Bytes of artifacts that were uploaded and kept.")


class RequestMeter:
    """ASGI middleware: measures each request, from its head to the end of its answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and measure it."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began = time.perf_counter()
        status = "aborted"

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            operation = getattr(scope.get("route"), "name", "none")
            REQUEST_SECONDS.labels(operation, status).observe(time.perf_counter() - began)
        return None
