"""Every operation declares what it needs; nobody unknown passes, and who lacks it is told so and put on record."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from fastapi import FastAPI
from modelyard_registry.access.gate import Operation, UndeclaredPermissionError, operations_of, refuse_undeclared
from modelyard_registry.app import build_app
from modelyard_registry.settings import Settings
from modelyard_runtime.access.permissions import Role, roles_that_may

from tests.integration.registry.door import Door
from tests.world.http_client import HttpClient

pytestmark = pytest.mark.integration

FREE = {"/healthz", "/readyz", "/metrics"}

APP = build_app(Settings(state_unsigned="allow"))
OPERATIONS = list(operations_of(APP))


def url_of(operation: Operation, *, project: str) -> str:
    """A path of that operation: about a thing that is not there."""
    path = operation.path.replace("{project}", project)
    while "{" in path:
        before, _, rest = path.partition("{")
        name, _, after = rest.partition("}")
        path = before + (str(uuid4()) if name.endswith("id") else "nothing") + after
    return path


async def a_holder(door: Door, *, actor: str, role: Role) -> HttpClient:
    """Somebody who calls with a token that carries one role in the door's project."""
    document = {
        "actor": actor,
        "project": door.project,
        "roles": [role],
        "expires_at": (door.clock.now + timedelta(days=30)).isoformat(),
    }
    issued = (await door.http.call("POST", "/api/v1/access/tokens", document)).expect(201)
    return replace(door.http, token=issued["token"])


def test_every_path_of_the_document_is_guarded_or_open_by_intent() -> None:
    guarded = {operation.path for operation in OPERATIONS}
    documented = set(APP.openapi()["paths"])

    assert documented - guarded <= FREE
    assert len(guarded) > 20


def test_every_operation_declares_its_permission_and_documents_its_refusals() -> None:
    assert [each for each in OPERATIONS if each.requirement is None] == []
    paths = APP.openapi()["paths"]
    silent = [
        (each.method, each.path)
        for each in OPERATIONS
        if each.path in paths and not {"401", "403"} <= set(paths[each.path][each.method.lower()]["responses"])
    ]
    assert silent == []


def test_an_operation_that_declares_nothing_keeps_the_registry_from_starting() -> None:
    app = FastAPI()

    @app.get("/api/v1/forgotten")
    async def forgotten() -> None:
        """An operation whose author thought of something else."""

    with pytest.raises(UndeclaredPermissionError, match=r"GET /api/v1/forgotten"):
        refuse_undeclared(app)


async def test_without_a_token_no_operation_answers_and_no_body_is_judged(door: Door) -> None:
    nobody = replace(door.http, token=None)

    replies = [
        await nobody.call(each.method, url_of(each, project=door.project), data=b"{" if each.method != "GET" else None)
        for each in OPERATIONS
    ]

    assert [str(reply) for reply in replies if reply.status != 401] == []
    assert [str(reply) for reply in replies if not reply.is_problem and "HEAD" not in reply.operation] == []


async def test_a_token_without_the_permission_is_told_which_role_has_it(door: Door) -> None:
    gateway = await a_holder(door, actor="gate", role=Role.GATEWAY)

    for each in OPERATIONS:
        assert each.requirement is not None
        reply = await gateway.call(each.method, url_of(each, project=door.project))
        assert reply.status == 403, str(reply)
        if each.method != "HEAD":
            assert reply.is_problem, str(reply)
            assert each.requirement.permission in reply.document["detail"]
            assert reply.document["permission"] == each.requirement.permission
            assert reply.document["roles"] == roles_that_may(each.requirement.permission)


async def test_refusals_are_audited_and_a_flood_of_them_is_summed_up(door: Door) -> None:
    vera = await a_holder(door, actor="vera", role=Role.VIEWER)
    path = f"/api/v1/projects/{door.project}/registered-models"

    for _ in range(6):
        assert (await vera.call("POST", path, {"name": "mine"})).status == 403
    at_first = [each for each in await door.audit() if each["actor"] == f"{door.project}/vera"]
    door.clock.now += timedelta(minutes=2)
    assert (await vera.call("POST", path, {"name": "mine"})).status == 403
    later = [each for each in await door.audit() if each["actor"] == f"{door.project}/vera"]

    assert [(each["action"], each["after"]["count"]) for each in at_first] == [("models.write.refused", 1)]
    assert at_first[0]["subject"] == "registered-models"
    assert at_first[0]["after"]["operation"] == f"POST {path}"
    assert [each["after"]["count"] for each in later] == [1, 5, 1]
