"""What all four services do alike with addresses: HEAD where GET is taken, and no redirect for a slash too many."""

import json
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from modelyard_cache_invalidator import app as cache_invalidator
from modelyard_cache_invalidator.settings import Settings as CacheInvalidatorSettings
from modelyard_registry import app as registry
from modelyard_registry.settings import Settings as RegistrySettings
from modelyard_router import app as router
from modelyard_router.settings import Settings as RouterSettings
from modelyard_shadow_worker import app as shadow_worker
from modelyard_shadow_worker.settings import Settings as ShadowWorkerSettings
from pydantic import SecretStr

Build = Callable[[], Any]


@dataclass(slots=True, kw_only=True)
class Answer:
    """What a service answered."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@pytest.fixture(
    params=[
        lambda: registry.build_app(RegistrySettings(tokens={"ada": SecretStr("t")}, state_unsigned="allow")),
        lambda: router.build_app(RouterSettings(state_unsigned="allow")),
        lambda: shadow_worker.build_app(ShadowWorkerSettings()),
        lambda: cache_invalidator.build_app(CacheInvalidatorSettings(state_unsigned="allow")),
    ],
    ids=["registry", "router", "shadow_worker", "cache_invalidator"],
)
def service(request: pytest.FixtureRequest) -> Any:
    """Each service, wired as it is deployed, with nothing opened."""
    build: Build = request.param
    return build()


async def ask(service: Any, method: str, path: str) -> Answer:
    """One request with a foreign Host, as the service's server would hand it on."""
    answer = Answer()

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"evil.example"), (b"authorization", b"Bearer t")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await service(scope, receive, send)
    return answer


@pytest.mark.parametrize("path", ["/healthz/", "/readyz/", "/metrics/", "/docs/", "/healthz//"])
async def test_a_slash_at_the_end_is_answered_with_the_address_without_it(service: Any, path: str) -> None:
    for method in ("GET", "POST"):
        answer = await ask(service, method, path)
        problem = json.loads(answer.body)

        assert answer.status == problem["status"] == 404
        assert f"to {path.rstrip('/')}" in problem["fix"]
        assert "evil.example" not in answer.body.decode() + str(answer.headers)
        assert "location" not in answer.headers


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/openapi.json"])
async def test_head_is_answered_as_get_without_the_body(service: Any, path: str) -> None:
    got, head = await ask(service, "GET", path), await ask(service, "HEAD", path)

    assert (got.status, head.status) == (200, 200)
    assert head.body == b""
    assert head.headers["content-type"] == got.headers["content-type"]
    assert int(head.headers["content-length"]) > 0


async def test_head_on_what_takes_no_get_is_refused(service: Any) -> None:
    assert (await ask(service, "HEAD", "/nothing")).status == 404


async def test_a_post_to_the_registry_is_not_redirected_away() -> None:
    service = registry.build_app(RegistrySettings(tokens={"ada": SecretStr("t")}, state_unsigned="allow"))

    answer = await ask(service, "POST", "/api/v1/projects/default/registered-models/")

    assert answer.status == 404
    assert "to /api/v1/projects/default/registered-models" in json.loads(answer.body)["fix"]


async def test_a_post_to_the_router_is_not_redirected_away() -> None:
    answer = await ask(router.build_app(RouterSettings(state_unsigned="allow")), "POST", "/v1/route/")

    assert answer.status == 404
    assert json.loads(answer.body)["fix"].endswith("to /v1/route")
