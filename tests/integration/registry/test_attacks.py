"""What attackers try at a registry's door: each is refused in plain words, and nothing has changed."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from modelyard_events.codec import Record
from modelyard_events.signing import KEY_ID_HEADER, SIGNATURE_HEADER
from modelyard_events.topics import TRAINING_RUNS

from tests.integration.registry.door import ENDPOINT, Door, digest_of, versions
from tests.integration.registry.registry_world import RegistryWorld
from tests.integration.registry.relay_world import until
from tests.integration.registry.test_senders import a_run, parked, settled
from tests.world.http_client import HttpClient, Reply

pytestmark = pytest.mark.integration

TRAVERSALS = [
    "../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "....//....//etc/passwd",
    "%2e%2e%2fetc%2fpasswd",
    "file:///etc/passwd",
    "a/../../b",
    "a#b/../c",
    "a?b",
    "a\u0000b",
    ".",
    "..",
    "~root",
    "a" * 101,
    "＂",
]
URLS = [
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "ftp://example.com/model",
    "javascript:alert(1)",
    "//example.com/infer",
    "http://",
    "http://user:secret@example.com/infer",
    "http://example.com\\@169.254.169.254/",
    "http://example.com/infer#@169.254.169.254/",
    "http://example.com/infer\r\nX-Injected: 1",
    "http://[::1/infer",
    "http://example.com:99999/infer",
    "http://exämple.com/infer",
]


def as_whom(door: Door, token: str) -> HttpClient:
    return replace(door.http, token=token)


async def send(door: Door, method: str, path: str, body: bytes, **headers: str) -> Reply:
    """A body as it is, which no JSON library would write."""
    return await door.call(method, path, data=body, headers={"content-type": "application/json", **headers})


def is_refused(reply: Reply) -> bool:
    return 400 <= reply.status < 500 and reply.is_problem


@pytest.mark.parametrize("name", TRAVERSALS)
async def test_a_path_that_leads_elsewhere_leads_nowhere(door: Door, name: str) -> None:
    await door.create()
    await door.register()
    before = await door.marks()
    there = quote(name, safe="")

    replies = [
        await door.call("GET", f"/registered-models/{there}"),
        await door.call("GET", f"{versions()}/{there}"),
        await door.call("GET", f"{versions()}/{there}/artifact"),
        await door.call("GET", f"/artifacts/{there}"),
        await door.call("GET", f"/artifacts/sha256:{there}"),
        await door.call("PUT", f"/artifacts/sha256:{there}", data=b"content"),
        await door.call("PUT", f"{versions()}/1/deployments/{there}", {"url": ENDPOINT}),
        await door.call("POST", "/registered-models", {"name": name, "model_type": "x"}),
        await door.call("POST", "/registered-models", {"name": "x", "model_type": name}),
        await door.call("POST", versions(), {"digest": name}),
        await door.call("POST", versions(), {"digest": f"sha256:{name}"}),
        await door.http.call("GET", f"/api/v1/projects/{there}/registered-models"),
        await door.http.call("GET", f"/api/v1/models/{there}/v1.0.0"),
        await door.http.call("POST", "/api/v1/models/register", {"name": name, "version": "v1.0.0"}),
        await door.http.call("GET", "/api/v1/models", headers={"X-Project-Id": quote(name)}),
    ]

    # A client or a server may resolve dots before the route sees them: then it is another path, or a list.
    served = [str(reply) for reply in replies if not is_refused(reply) and not _is_harmless(reply, name)]
    assert served == []
    assert await door.marks() == before


def _is_harmless(reply: Reply, name: str) -> bool:
    return name in (".", "..") and reply.operation.startswith("GET") and b"root:" not in reply.body


@pytest.mark.parametrize("url", URLS)
async def test_an_endpoint_is_plain_http_without_credentials(door: Door, url: str) -> None:
    await door.create()
    await door.register()
    before = await door.marks()

    reply = await door.call("PUT", f"{versions()}/1/deployments/production", {"url": url})

    assert is_refused(reply), reply
    assert await door.marks() == before


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "risk", "model_type": "x", "name": "other"}',
        b'{"name": "risk", "model_type": "x", "tags": {"a": "1", "a": "2"}}',
        b'{"name": "risk", "model_type": "x", "n\\u0061me": "other"}',
        b'{"name": "risk", "model_type": "x", "modelType": "y"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"name": "risk", "model_type": "x", "tags": ' + b'{"a": ' * 5_000 + b"1" + b"}" * 5_001,
        b'{"name": "risk", "model_type": "x", "description": "' + b"x" * (5 * 1024 * 1024) + b'"}',
        b'{"name": "risk", "model_type": "x", "higher_is_better": ' + b"1" * 5_000 + b"}",
        b'{"name": "risk", "model_type": "x", "description": "\xff\xfe"}',
        b"\x00" * 100,
        b"",
        b"name=risk&model_type=x",
    ],
    ids=lambda body: repr(body[:40]),
)
async def test_a_body_that_is_ambiguous_too_deep_or_too_large_is_refused(door: Door, body: bytes) -> None:
    reply = await send(door, "POST", "/registered-models", body)

    assert is_refused(reply), reply
    assert await door.marks() == (0, 0)


async def test_free_json_is_bounded_in_depth(door: Door) -> None:
    await door.create()
    digest = await door.upload()
    before = await door.marks()
    deep: Any = 1
    for _ in range(50):
        deep = {"a": deep}

    reply = await door.call("POST", versions(), {"digest": digest, "evidence": {"custom_metadata": deep}})

    assert is_refused(reply), reply
    assert await door.marks() == before


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Request-Id": "a b"},
        {"X-Request-Id": "x" * 201},
        {"X-Correlation-Id": "é"},
        {"Idempotency-Key": "x" * 201},
        {"If-Match": "W/1"},
        {"If-Match": '"1", drop'},
    ],
    ids=str,
)
async def test_a_header_that_is_no_word_is_refused(door: Door, headers: dict[str, str]) -> None:
    document = json.dumps({"name": "risk", "model_type": "x"}).encode()

    reply = await send(door, "POST", "/registered-models", document, **headers)

    assert is_refused(reply), reply
    assert await door.marks() == (0, 0)


async def test_another_projects_artifact_model_and_version_are_out_of_reach(door: Door) -> None:
    await door.create()
    await door.register(run_id="run-1")
    digest = digest_of(b"a model")
    elsewhere = await door.beside()
    await elsewhere.create("mine")
    before = await elsewhere.marks()

    replies = [
        await elsewhere.call("GET", f"/artifacts/{digest}"),
        await elsewhere.call("HEAD", f"/artifacts/{digest}"),
        await elsewhere.call("GET", f"{versions()}/1/artifact"),
        await elsewhere.call("GET", f"{versions()}/1"),
        await elsewhere.move(1, "staging"),
        await elsewhere.call("PATCH", "/registered-models/risk", {"description": "mine now"}),
        await elsewhere.call("DELETE", "/registered-models/risk"),
        await elsewhere.call("POST", "/registered-models/risk/rollback", {"replaces": 1}),
    ]
    registered = await elsewhere.call("POST", versions("mine"), {"digest": digest})

    assert [reply.status for reply in replies] == [404] * len(replies)
    assert registered.status == 409
    assert await elsewhere.marks() == (before[0] + 1, before[1])
    assert (await elsewhere.actions())[-1] == "model_version.registered.refused"


async def test_a_page_token_of_another_project_shows_nothing_of_it(door: Door) -> None:
    for name in ("a-secret", "b-secret", "c-secret"):
        await door.create(name)
    elsewhere = await door.beside()
    await elsewhere.create("b-mine")
    token = (await door.call("GET", "/registered-models", query={"page_size": "1"})).expect(200)["next_page_token"]

    replies = [
        await elsewhere.call("GET", path, query={"page_token": token})
        for path in ("/registered-models", "/audit-entries", "/registered-models/b-mine/versions")
    ]

    assert all(reply.status in (200, 422) and b"secret" not in reply.body for reply in replies)


async def test_a_key_of_another_actor_replays_nothing(door: Door) -> None:
    key = {"Idempotency-Key": f"key-{door.project}"}
    path = f"/api/v1/projects/{door.project}/registered-models"
    document = {"name": "risk", "model_type": "x", "description": "for ann's eyes"}
    (await door.http.call("POST", path, document, headers=key)).expect(201)

    reply = await as_whom(door, "bobs-token").call("POST", path, document, headers=key)

    assert reply.status == 409
    assert b"eyes" not in reply.body


async def test_a_known_caller_who_may_not_is_refused_on_the_record(door: Door) -> None:
    await door.create()
    await door.register()
    model_id = (await door.call("GET", "/registered-models/risk")).expect(200)["registered_model_id"]
    eve = as_whom(door, "eves-token")
    native = f"/api/v1/projects/{door.project}/registered-models"
    facts = len(await door.facts())

    replies = [
        await eve.call("POST", native, {"name": "eves", "model_type": "x"}),
        await eve.call("POST", f"{native}/risk/versions/1/transitions", {"to_stage": "staging"}),
        await eve.call("GET", f"/api/v1/projects/{door.project}/audit-entries/export"),
        await eve.call("POST", f"/api/v1/registry/models/{model_id}/versions", {"version": "v9.0.0"}),
        await eve.call("POST", "/api/v1/models/register", {"name": "e", "version": "v1.0.0"}),
    ]

    refused = [entry for entry in await door.audit() if entry["actor"] == "eve"]
    assert [reply.status for reply in replies] == [403] * len(replies)
    assert all(reply.is_problem for reply in replies)
    assert len(await door.facts()) == facts
    assert refused
    assert all(entry["action"].endswith(".refused") for entry in refused)


def with_header(record: Record, name: str, value: bytes | None) -> Record:
    """The record with a header set, in place of one of that name if there is one."""
    kept = tuple(each for each in record.headers if each[0] != name)
    return replace(record, headers=(*kept, (name, value)))


FORGED: dict[str, Callable[[Record], Record]] = {
    "another project in the value": lambda genuine: replace(genuine, value=(genuine.value or b"") + b" "),
    "another key": lambda genuine: replace(genuine, key=(genuine.key or b"") + b"2"),
    "no key": lambda genuine: replace(genuine, key=None),
    "another id, to be taken for a new event": lambda genuine: with_header(genuine, "ce_id", b"new"),
    "an actor of its own choice": lambda genuine: with_header(genuine, "ce_actor", b"ada"),
    "a second spelling of a header": lambda genuine: with_header(genuine, "CE_SOURCE", b"urn:other"),
    "a parameter of the content type": lambda genuine: with_header(
        genuine, "content-type", b"application/json; charset=utf-8"
    ),
    "no signature": lambda genuine: replace(
        genuine, headers=tuple(each for each in genuine.headers if each[0] != SIGNATURE_HEADER)
    ),
    "an empty signature": lambda genuine: with_header(genuine, SIGNATURE_HEADER, b""),
    "a signature of zeros": lambda genuine: with_header(genuine, SIGNATURE_HEADER, b"A" * 86 + b"=="),
    "a key id that is a path": lambda genuine: with_header(genuine, KEY_ID_HEADER, b"../../signing-keys"),
    "a key id without end": lambda genuine: with_header(genuine, KEY_ID_HEADER, b"a" * 100_000),
    "a key id that is no text": lambda genuine: with_header(genuine, KEY_ID_HEADER, b"\xff\x00"),
}


async def test_an_event_with_anything_changed_registers_nothing(registry_world: RegistryWorld) -> None:
    await registry_world.a_model("everyone")
    forged = []
    for name, forge in FORGED.items():
        genuine = registry_world.signer.sign(await a_run(registry_world, name))
        forged.append(forge(genuine))

    for number, record in enumerate(forged):
        await registry_world.send(TRAINING_RUNS, record)
        # Sound ones in between: so many bad ones in a row would stop the partition.
        sound = registry_world.signer.sign(await a_run(registry_world, f"sound-{number}"))
        await registry_world.send(TRAINING_RUNS, sound)

    registered = await settled(registry_world, run_id=f"sound-{len(forged) - 1}")
    assert len(registered) == len(forged)
    assert all(each["run_id"].startswith("sound-") for each in registered)
    with_key = [record for record in forged if record.key is not None]

    async def are_parked() -> bool:
        return len(await parked(registry_world)) == len(with_key)

    await until(are_parked)
    # Some are refused for their form, before anybody asks who signed them.
    assert {reason for _, reason in await parked(registry_world)} == {"sender_unproved", "record_too_large"}
