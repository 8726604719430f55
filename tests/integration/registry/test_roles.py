"""The five roles may do what they are said to, operation by operation, in their own project and nowhere else."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from modelyard_runtime.access.permissions import Role

from tests.integration.registry.door import Door, digest_of
from tests.world.http_client import HttpClient, Reply

pytestmark = pytest.mark.integration

SERVED, DRAFT, REPORT = b"the bytes of the champion", b"the bytes of a draft", b"# About the champion"
NO, GONE, YES = 403, 404, 200
NAMES = ("sketch", "blank", "draft", "nothing")

OPERATIONS: dict[str, tuple[str, str, Any]] = {
    "list models": ("GET", "/registered-models", None),
    "get a model": ("GET", "/registered-models/risk", None),
    "get a model with drafts only": ("GET", "/registered-models/draft", None),
    "list versions": ("GET", "/registered-models/risk/versions", None),
    "list all versions": ("GET", "/model-versions", None),
    "get a version in production": ("GET", "/registered-models/risk/versions/1", None),
    "get a version in development": ("GET", "/registered-models/risk/versions/2", None),
    "get an alias of production": ("GET", "/registered-models/risk/aliases/champion", None),
    "get an alias of development": ("GET", "/registered-models/risk/aliases/next", None),
    "list aliases": ("GET", "/registered-models/risk/aliases", None),
    "download what is in production": ("GET", "/registered-models/risk/versions/@champion/artifact", None),
    "download a draft": ("GET", "/registered-models/risk/versions/2/artifact", None),
    "download by a digest of production": ("GET", f"/artifacts/{digest_of(SERVED)}", None),
    "download by a draft's digest": ("GET", f"/artifacts/{digest_of(DRAFT)}", None),
    "list further artifacts of production": ("GET", "/registered-models/risk/versions/1/artifacts", None),
    "download a further artifact": ("GET", "/registered-models/risk/versions/1/artifacts/report", None),
    "list further artifacts of a draft": ("GET", "/registered-models/risk/versions/2/artifacts", None),
    "list transitions": ("GET", "/registered-models/risk/versions/1/transitions", None),
    "read a policy": ("GET", "/policies", None),
    "read the audit log": ("GET", "/audit-entries", None),
    "list who has which roles": ("GET", "/access/grants", None),
    "create a model": ("POST", "/registered-models", {"name": "mine", "model_type": "risk_scoring"}),
    "change a model": ("PATCH", "/registered-models/draft", {"description": "new words"}),
    "register a version": ("POST", "/registered-models/draft/versions", {"digest": digest_of(DRAFT)}),
    "change a version": ("PATCH", "/registered-models/draft/versions/1", {"description": "new words"}),
    "move a version": ("POST", "/registered-models/draft/versions/1/transitions", {"to_stage": "staging"}),
    "grant roles": ("PUT", "/access/grants/somebody", {"roles": ["viewer"]}),
    "delete a model": ("DELETE", "/registered-models/draft", None),
}

# In the order of ROLES: 200 stands for any success.
ROLES = (Role.ADMIN, Role.DATA_SCIENTIST, Role.DEVELOPER, Role.VIEWER, Role.APPROVER)
MATRIX: dict[str, tuple[int, int, int, int, int]] = {
    "list models": (YES, YES, YES, YES, YES),
    "get a model": (YES, YES, YES, YES, YES),
    "get a model with drafts only": (YES, YES, GONE, YES, YES),
    "list versions": (YES, YES, YES, YES, YES),
    "list all versions": (YES, YES, YES, YES, YES),
    "get a version in production": (YES, YES, YES, YES, YES),
    "get a version in development": (YES, YES, GONE, YES, YES),
    "get an alias of production": (YES, YES, YES, YES, YES),
    "get an alias of development": (YES, YES, GONE, YES, YES),
    "list aliases": (YES, YES, YES, YES, YES),
    "download what is in production": (YES, YES, YES, NO, YES),
    "download a draft": (YES, YES, GONE, NO, YES),
    "download by a digest of production": (YES, YES, YES, NO, YES),
    "download by a draft's digest": (YES, YES, GONE, NO, YES),
    "list further artifacts of production": (YES, YES, YES, NO, YES),
    "download a further artifact": (YES, YES, YES, NO, YES),
    "list further artifacts of a draft": (YES, YES, GONE, NO, YES),
    "list transitions": (YES, YES, NO, YES, YES),
    "read a policy": (YES, YES, NO, YES, YES),
    "read the audit log": (YES, NO, NO, NO, YES),
    "list who has which roles": (YES, NO, NO, NO, NO),
    "create a model": (YES, YES, NO, NO, NO),
    "change a model": (YES, YES, NO, NO, NO),
    "register a version": (YES, YES, NO, NO, NO),
    "change a version": (YES, YES, NO, NO, NO),
    "move a version": (YES, NO, NO, NO, NO),
    "grant roles": (YES, NO, NO, NO, NO),
    "delete a model": (YES, NO, NO, NO, NO),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    """A person with roles in the door's project."""

    http: HttpClient
    project: str

    async def call(self, method: str, path: str, document: object = None, *, project: str | None = None) -> Reply:
        return await self.http.call(method, f"/api/v1/projects/{project or self.project}{path}", document)

    async def reads(self, path: str) -> Any:
        """The document at a path, which must be there."""
        return (await self.call("GET", path)).expect(200)


async def somebody(door: Door, *roles: Role) -> Somebody:
    """Somebody with a token that carries these roles."""
    document = {
        "actor": "-".join(roles),
        "project": door.project,
        "roles": list(roles),
        "expires_at": (door.clock.now + timedelta(days=30)).isoformat(),
    }
    issued = (await door.http.call("POST", "/api/v1/access/tokens", document)).expect(201)
    return Somebody(http=replace(door.http, token=issued["token"]), project=door.project)


@pytest.fixture
async def inventory(door: Door) -> Door:
    """One model with a champion and a draft, and one with drafts only."""
    await door.create("risk")
    await door.create("draft")
    for content in (SERVED, DRAFT, REPORT):
        await door.upload(content)
    await door.register("risk", digest=digest_of(SERVED))
    attached = {"digest": digest_of(REPORT)}
    (await door.call("PUT", "/registered-models/risk/versions/1/artifacts/report", attached)).expect(201)
    await door.deploy(1)
    (await door.move(1, "staging")).expect(200)
    (await door.move(1, "production")).expect(200)
    await door.register("risk", digest=digest_of(DRAFT))
    await door.register("draft", digest=digest_of(DRAFT))
    (await door.call("PUT", "/registered-models/risk/aliases/next", {"number": 2})).expect(200)
    return door


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_may_do_what_it_is_said_to_and_nothing_in_another_project(inventory: Door, role: Role) -> None:
    person = await somebody(inventory, role)
    column = ROLES.index(role)

    got = {name: (await person.call(*operation)).status for name, operation in OPERATIONS.items()}
    abroad = {name: (await person.call(*operation, project="another")).status for name, operation in OPERATIONS.items()}

    assert {name: YES if 200 <= status < 300 else status for name, status in got.items()} == {
        name: wanted[column] for name, wanted in MATRIX.items()
    }
    assert abroad == dict.fromkeys(OPERATIONS, NO)


async def test_what_is_not_in_production_is_nowhere_in_a_developers_lists(inventory: Door) -> None:
    dev, all_seeing = await somebody(inventory, Role.DEVELOPER), await somebody(inventory, Role.VIEWER)

    models = (await dev.reads("/registered-models"))["items"]
    versions = (await dev.reads("/registered-models/risk/versions"))["items"]
    everywhere = (await dev.reads("/model-versions"))["items"]
    drafts = (await dev.reads("/model-versions?stage=development"))["items"]
    aliases = (await dev.reads("/registered-models/risk/aliases"))["items"]
    model = await dev.reads("/registered-models/risk")
    seen = (await all_seeing.reads("/registered-models"))["items"]

    assert [each["name"] for each in models] == ["risk"]
    assert [each["number"] for each in versions] == [each["number"] for each in everywhere] == [1]
    assert drafts == []
    assert [each["alias"] for each in aliases] == ["champion"]
    assert models[0]["aliases"] == model["aliases"] == {"champion": 1}
    assert [each["name"] for each in seen] == ["draft", "risk"]
    assert seen[1]["aliases"] == {"champion": 1, "next": 2}


async def test_a_hidden_thing_is_told_of_in_the_words_for_one_that_is_not_there(inventory: Door) -> None:
    dev = await somebody(inventory, Role.DEVELOPER)
    await inventory.create("blank")
    (await inventory.call("POST", "/registered-models/blank/rename", {"name": "sketch"})).expect(200)

    hidden = [
        (await dev.call("GET", f"/registered-models/{name}{below}")).document
        for name in NAMES
        for below in ("", "/versions", "/versions/1", "/versions/1/artifact", "/aliases")
    ]
    version = (await dev.call("GET", "/registered-models/risk/versions/2")).document
    absent = (await dev.call("GET", "/registered-models/risk/versions/9")).document

    names = [name for name in NAMES for _ in range(5)]
    assert len({str(each).replace(name, "X") for each, name in zip(hidden, names, strict=True)}) == 1
    assert str(version).replace("version 2", "version 9") == str(absent)


async def test_what_leaves_production_leaves_a_developers_sight(inventory: Door) -> None:
    dev = await somebody(inventory, Role.DEVELOPER)
    await inventory.deploy(2)
    (await inventory.move(2, "staging")).expect(200)
    (await inventory.move(2, "production")).expect(200)
    (await inventory.move(1, "deprecated")).expect(200)

    old, new = [(await dev.call("GET", f"/registered-models/risk/versions/{number}")).status for number in (1, 2)]
    old_bytes = (await dev.call("GET", f"/artifacts/{digest_of(SERVED)}")).status
    new_bytes = (await dev.call("GET", f"/artifacts/{digest_of(DRAFT)}")).status

    assert (old, new, old_bytes, new_bytes) == (404, 200, 404, 200)


async def test_the_roles_of_one_person_add_up(inventory: Door) -> None:
    both = await somebody(inventory, Role.DEVELOPER, Role.VIEWER)

    version = (await both.call("GET", "/registered-models/risk/versions/2")).status
    bytes_of_production = (await both.call("GET", f"/artifacts/{digest_of(SERVED)}")).status
    bytes_of_draft = (await both.call("GET", f"/artifacts/{digest_of(DRAFT)}")).status

    # As a viewer all versions, as a developer the bytes of those in production.
    assert (version, bytes_of_production, bytes_of_draft) == (200, 200, 404)


async def test_the_api_by_name_shows_a_developer_what_is_in_production(inventory: Door) -> None:
    dev = await somebody(inventory, Role.DEVELOPER)
    where = f"project_id={inventory.project}"

    listed = (await dev.http.call("GET", f"/api/v1/models?{where}")).expect(200)["models"]
    served = await dev.http.call("GET", f"/api/v1/models/risk/v1.0.0?{where}")
    draft = await dev.http.call("GET", f"/api/v1/models/risk/v1.1.0?{where}")
    by_id = await dev.http.call("GET", f"/api/v1/registry/models?{where}")

    assert listed == [
        {"name": "risk", "versions": ["v1.0.0"], "latest_version": "v1.0.0", "production_version": "v1.0.0"}
    ]
    assert (served.status, draft.status) == (200, 404)
    assert by_id.status == 403, "that one shows all stages to whoever it shows anything"
