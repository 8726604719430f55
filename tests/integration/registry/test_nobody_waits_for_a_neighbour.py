"""Nobody waits for another caller's request: each operation gets its most expensive one while somebody else asks."""

import json
from collections.abc import Iterator, Mapping
from uuid import uuid4

import pytest
from modelyard_registry.access.gate import Operation, operations_of
from modelyard_registry.app import build_app
from modelyard_registry.settings import Settings

from tests.integration.registry.door import Door, digest_of, versions
from tests.neighbours import longest_wait_beside

pytestmark = pytest.mark.integration

APP = build_app(Settings(state_unsigned="allow"))
OPERATIONS = list(operations_of(APP))
DOCUMENT = APP.openapi()
JSON = {"Content-Type": "application/json"}
QUERY_CHARS = 40_000

HOSTILE: Mapping[str, bytes] = {
    "20,000 members, one of them twice": (
        b"{" + b",".join(b'"%x":0' % number for number in range(20_000)) + b',"z":0,"z":0}'
    ),
    "unknown members": b"{" + b",".join(b'"%x":0' % number for number in range(50_000)) + b"}",
    "empty objects": b'{"a":[' + b"{}," * 59_000 + b"{}]}",
    "one text": b'{"name":"' + b"\xf0\x9f\x98\x80" * 370_000 + b'"}',
    "open brackets": b"[" * 1_400_000,
}
"""Bodies that are refused, of the size that an operation reads at most."""


def with_body() -> Iterator[Operation]:
    for operation in OPERATIONS:
        described = DOCUMENT["paths"][operation.path].get(operation.method.lower(), {})
        if "requestBody" in described:
            yield operation


def named(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def url_of(operation: Operation, door: Door) -> str:
    path = operation.path.replace("{project}", door.project).replace("{digest}", f"sha256:{'0' * 64}")
    while "{" in path:
        before, _, rest = path.partition("{")
        name, _, after = rest.partition("}")
        path = before + (str(uuid4()) if name.endswith("id") else "1") + after
    return path


async def assert_nobody_waits(door: Door, method: str, path: str, body: bytes | None, *, query: str = "") -> None:
    statuses: list[int] = []

    async def request() -> None:
        reply = await door.http.call(method, f"{path}{query}", data=body, headers=JSON if body else None)
        statuses.append(reply.status)

    async def asks() -> None:
        (await door.http.call("GET", "/healthz")).expect(200)

    wait = await longest_wait_beside(request, asks=asks)

    shown = f"{method} {path} {query[:50]} {(body or b'')[:50]!r}"
    assert wait.is_short, f"{shown}: {wait}, answered {statuses}"
    assert max(statuses) < 500


@pytest.mark.parametrize("operation", list(with_body()), ids=named)
async def test_no_body_that_is_refused_makes_others_wait(operation: Operation, door: Door) -> None:
    for body in HOSTILE.values():
        await assert_nobody_waits(door, operation.method, url_of(operation, door), body)


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
async def test_no_query_makes_others_wait(operation: Operation, door: Door) -> None:
    described = DOCUMENT["paths"][operation.path].get(operation.method.lower(), {})
    declared = [each["name"] for each in described.get("parameters", []) if each["in"] == "query"]
    for name in [*declared[-1:], "zz"]:
        queries = [f"?{name}=" + "a" * QUERY_CHARS, f"?{name}=a" + f"&{name}=a" * (QUERY_CHARS // (len(name) + 3))]
        for query in queries:
            await assert_nobody_waits(door, operation.method, url_of(operation, door), None, query=query)


def largest_evidence() -> dict[str, object]:
    """Evidence at every bound that an event of a million bytes leaves room for."""
    features = [{"name": f"{'é' * 20}{number}", "datatype": "FP64"} for number in range(2_000)]
    return {
        "metrics": {f"metric {number}": number / 7 for number in range(200)},
        "parameters": {f"parameter {number}": "x" * 200 for number in range(500)},
        "hyperparameters": {f"h{number}": [number] for number in range(1_600)},
        "feature_schema": features,
        "feature_list": [str(each["name"]) for each in features],
        "feature_importance": {str(each["name"]): 0.5 for each in features},
        "dependencies": {f"package-{number}": "1.0" for number in range(1_000)},
        "tags": {f"tag {number}": "x" * 500 for number in range(100)},
        "custom_metadata": {"text": "x" * 90_000},
    }


async def test_the_largest_registration_makes_nobody_wait(door: Door) -> None:
    await door.create()
    digest = await door.upload()
    body = json.dumps({"digest": digest, "evidence": largest_evidence()}).encode()

    (await door.call("POST", versions(), data=body, headers=JSON)).expect(201)
    path = f"/api/v1/projects/{door.project}{versions()}"
    await assert_nobody_waits(door, "POST", path, body)
    await assert_nobody_waits(door, "GET", path, None)


async def test_the_largest_folder_makes_nobody_wait(door: Door) -> None:
    digest = await door.upload(b"one file")
    files = [{"path": f"{'d' * 50}/{number}", "digest": digest, "bytes": 8} for number in range(10_000)]
    body = json.dumps({"files": files}).encode()

    await assert_nobody_waits(door, "POST", f"/api/v1/projects/{door.project}/artifacts/manifests", body)


async def test_the_largest_policy_makes_nobody_wait(door: Door) -> None:
    gates = [{"gate": "performance", "metric": f"metric {number}", "min": 0.1} for number in range(50)]
    stages = ["development", "staging", "canary", "production", "deprecated", "archived"]
    pairs = [(one, other) for one in [None, *stages] for other in stages if one != other]
    moves = [{"from_stage": one, "to_stage": other, "gates": gates} for one, other in pairs]
    body = json.dumps({"moves": moves}).encode()

    await assert_nobody_waits(door, "PUT", f"/api/v1/projects/{door.project}/policies", body)


async def test_the_largest_change_of_tags_makes_nobody_wait(door: Door) -> None:
    await door.create(tags={f"a{number}": "x" * 2_000 for number in range(100)})
    tags = {f"a{number}": None for number in range(100)} | {f"b{number}": "y" * 2_000 for number in range(100)}
    body = json.dumps({"tags": tags}).encode()

    await assert_nobody_waits(door, "PATCH", f"/api/v1/projects/{door.project}/registered-models/risk", body)


async def test_the_artifact_of_somebody_makes_nobody_wait(door: Door) -> None:
    content = b"x" * 2_000_000
    path = f"/api/v1/projects/{door.project}/artifacts/{digest_of(content)}"

    await assert_nobody_waits(door, "PUT", path, content)
