"""Health that means something: alive is "the loop turns", ready is "every part has caught up".

Degraded is ready all the same: the service does its job, but a part of it needs a person.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from modelyard_runtime.metrics import DEGRADED


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """What one part says of itself; `detail` is a sentence for the operator.

    `ok` says whether the part does its job, `degraded` whether it needs a person all the same.
    """

    name: str
    ok: bool
    detail: str = ""
    degraded: bool = False


class Checkable(Protocol):
    """A part of a service that can say whether it does its job. Cheap, and never raises."""

    def check(self) -> HealthCheck:
        """The part's present state."""
        ...


class Health:
    """The health of a service: ready when every part says so."""

    def __init__(self, parts: Sequence[Checkable] = ()) -> None:
        self._parts: list[Checkable] = list(parts)

    def add(self, part: Checkable) -> None:
        """Count `part` in."""
        self._parts.append(part)

    def checks(self) -> tuple[HealthCheck, ...]:
        """What each part says now."""
        return tuple(part.check() for part in self._parts)

    def report(self) -> tuple[bool, dict[str, Any]]:
        """Whether the service is ready, and the document that says why."""
        checks = self.checks()
        is_ready = all(check.ok for check in checks)
        is_degraded = any(check.degraded for check in checks)
        return is_ready, {"ready": is_ready, "degraded": is_degraded, "checks": [asdict(check) for check in checks]}

    def measure(self) -> None:
        """Set the gauge that counts the degraded parts."""
        DEGRADED.set(sum(check.degraded for check in self.checks()))


def operations(health: Health) -> APIRouter:
    """The routes that operators' tools ask: `/healthz`, `/readyz` and `/metrics`. They need no token."""
    router = APIRouter(tags=["operations"])

    @router.get("/healthz", summary="Whether the process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @router.get(
        "/readyz",
        summary="Whether every part has caught up and does its job",
        description="`degraded`: a part needs a person, though the service does its job; `checks` says why.",
        responses={503: {"description": "A part is not ready; `checks` says which and why"}},
    )
    async def readyz() -> JSONResponse:
        is_ready, document = health.report()
        return JSONResponse(document, status_code=200 if is_ready else 503)

    @router.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def metrics() -> Response:
        health.measure()
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router
