"""Every answer of a service that is no success is a problem document; nobody enters without a token."""

from collections.abc import AsyncIterator
from time import perf_counter
from typing import Annotated

import aiohttp
import pytest
from fastapi import Depends, FastAPI
from modelyard_runtime.access.authentication import Authentication
from modelyard_runtime.access.oidc import IdentityProviders
from modelyard_runtime.access.principals import Principal, Principals, RolesByProject, authenticated
from modelyard_runtime.access.unknown_callers import UnknownCallers
from modelyard_runtime.clock import utc_now
from modelyard_runtime.fetch import Fetcher
from modelyard_runtime.health import Health, HealthCheck, operations
from modelyard_runtime.http.access_log import AccessLog
from modelyard_runtime.ids import new_uuid7
from modelyard_runtime.problems import ConflictError, install_problems
from modelyard_runtime.service_app import ServiceApp
from prometheus_client import REGISTRY
from pydantic import BaseModel, SecretStr
from structlog.testing import capture_logs

from tests.serving import serving


class DoorShutError(ConflictError):
    """The door is shut."""

    code = "door-shut"


class Order(BaseModel):
    quantity: int


class Lamp:
    is_on = False

    def check(self) -> HealthCheck:
        return HealthCheck(name="lamp", ok=self.is_on, detail="dark" if not self.is_on else "")


class NoGrants:
    def roles_of(self, actor: str) -> RolesByProject:
        return {}


def an_app(health: Health) -> FastAPI:
    app = ServiceApp(new_id=new_uuid7, access_log=AccessLog(enabled=True, sample=1.0, seconds=perf_counter))
    install_problems(app)
    app.include_router(operations(health))
    authentication = Authentication(
        Principals({"ada": SecretStr("s3cret")}),
        grants=NoGrants(),
        providers=IdentityProviders([], fetcher=Fetcher(), clock=utc_now, seconds=lambda: 0.0),
        unknown=UnknownCallers(clock=utc_now),
    )
    principal = authenticated(authentication)

    @app.get("/whoami")
    async def whoami(caller: Annotated[Principal, Depends(principal)]) -> str:
        return caller.actor

    @app.post("/orders")
    async def order(order: Order) -> int:
        return order.quantity

    @app.get("/shut")
    async def shut() -> None:
        raise DoorShutError("It is after six.", fix="Come back at nine.", opens_at="09:00")

    return app


@pytest.fixture
def lamp() -> Lamp:
    return Lamp()


@pytest.fixture
async def http(lamp: Lamp) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(an_app(Health([lamp]))) as url, aiohttp.ClientSession(url) as session:
        yield session


async def test_a_refusal_names_what_is_wrong_and_the_fix(http: aiohttp.ClientSession) -> None:
    async with http.get("/shut") as answer:
        body = await answer.json()

    assert answer.status == 409
    assert answer.content_type == "application/problem+json"
    assert body == {
        "type": "/problems/door-shut",
        "title": "The door is shut.",
        "status": 409,
        "detail": "It is after six.",
        "fix": "Come back at nine.",
        "opens_at": "09:00",
    }


async def test_a_malformed_body_names_its_fields(http: aiohttp.ClientSession) -> None:
    async with http.post("/orders", json={"quantity": "many"}) as answer:
        body = await answer.json()

    assert (answer.status, answer.content_type) == (422, "application/problem+json")
    assert body["errors"][0]["location"] == "body.quantity"


async def test_an_unknown_path_is_a_problem_too(http: aiohttp.ClientSession) -> None:
    async with http.get("/nowhere") as answer:
        assert (answer.status, answer.content_type) == (404, "application/problem+json")


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic s3cret", "Bearer"])
async def test_nobody_enters_without_a_known_token(http: aiohttp.ClientSession, header: str | None) -> None:
    async with http.get("/whoami", headers={"authorization": header} if header else {}) as answer:
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_whoever_is_not_known_is_counted_by_reason_and_said_once_a_minute_without_the_token(
    http: aiohttp.ClientSession,
) -> None:
    def counted(reason: str) -> float:
        return REGISTRY.get_sample_value("runtime_unauthenticated_calls_total", {"reason": reason}) or 0.0

    before = counted("missing"), counted("unknown")
    with capture_logs() as lines:
        for token in (None, "a-secret-of-somebody", "a-secret-of-somebody", "another"):
            headers = {"authorization": f"Bearer {token}"} if token else {}
            async with http.get("/whoami", headers=headers) as answer:
                assert answer.status == 401

    assert (counted("missing"), counted("unknown")) == (before[0] + 1, before[1] + 3)
    said = [(line["reason"], line["count"]) for line in lines if line["event"] == "caller_not_known"]
    assert said == [("missing", 1), ("unknown", 1)]
    assert "secret" not in str(lines)


async def test_a_token_says_who_is_calling(http: aiohttp.ClientSession) -> None:
    async with http.get("/whoami", headers={"authorization": "Bearer s3cret"}) as answer:
        assert await answer.json() == "ada"


async def test_a_service_is_ready_when_every_part_is(http: aiohttp.ClientSession, lamp: Lamp) -> None:
    async with http.get("/readyz") as dark:
        why = await dark.json()
    lamp.is_on = True
    async with http.get("/readyz") as lit:
        pass

    assert (dark.status, lit.status) == (503, 200)
    assert why["checks"] == [{"name": "lamp", "ok": False, "detail": "dark", "degraded": False}]
    async with http.get("/healthz") as alive:
        assert alive.status == 200
