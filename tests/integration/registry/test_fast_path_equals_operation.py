"""The registration fast path and the operation behind it answer and write the same: rows, facts and audit entries.

The same drawn requests go to two projects that are alike. A usual request to the one takes the fast path; to the other
it goes with a charset in its content type, which only the operation takes.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest
from modelyard_registry.registration import fast_path
from modelyard_registry.registration.http import order_of

from tests.integration.registry.door import Document, Door, digest_of
from tests.world.http_client import Reply

pytestmark = pytest.mark.integration

REQUESTS = 150
MEDIA_TYPES = ("application/json", "application/json; charset=utf-8")
SHARES = {"run_id": 0.5, "semver": 0.12, "change_type": 0.12, "build_status": 0.1, "evidence": 0.4, "surprise": 0.04}
"""How often a request has a field."""
FEATURES = [{"name": "income", "datatype": "FP64"}]
WIDER = [*FEATURES, {"name": "age", "datatype": "INT64"}]
ROWS = {
    "versions": "SELECT to_jsonb(v) AS row FROM model_versions v WHERE v.project = $1 ORDER BY v.id",
    "metrics": "SELECT to_jsonb(m) AS row FROM version_metrics m WHERE m.project = $1 ORDER BY m.version_id, m.name",
    "models": "SELECT to_jsonb(m) AS row FROM registered_models m WHERE m.project = $1 ORDER BY m.name",
    "keys": "SELECT to_jsonb(k) - 'request' AS row FROM idempotency_keys k WHERE k.key LIKE $1 || '/%' ORDER BY k.key",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One request, as it is sent to both projects."""

    person: str
    path: str
    body: bytes
    headers: Mapping[str, str]


@pytest.mark.parametrize("seed", [1, 2])
async def test_both_ways_answer_and_write_the_same(door: Door, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = []

    def count(*args: Any, **more: Any) -> Any:
        fast.append(more["project"])
        return order_of(*args, **more)

    monkeypatch.setattr(fast_path, "order_of", count)
    doors = [door, await door.beside()]
    for each in doors:
        await _furnish(each)
    random = Random(seed)
    statuses: Counter[int] = Counter()

    for _ in range(REQUESTS):
        drawn = _draw(random)
        replies = [
            await _send(each, drawn, {"content-type": media_type})
            for each, media_type in zip(doors, MEDIA_TYPES, strict=True)
        ]
        answers = [_plain(each, _answer(reply)) for each, reply in zip(doors, replies, strict=True)]
        assert answers[0] == answers[1], drawn
        statuses[replies[0].status] += 1

    left = [_plain(each, await _left(each)) for each in doors]
    assert left[0] == left[1]
    assert set(fast) == {door.project}
    assert {200, 201, 403, 404, 409, 412, 422} <= set(statuses), statuses
    assert len(fast) >= statuses[201]


async def _furnish(door: Door) -> None:
    await door.create("risk")
    await door.create("churn", primary_metric="auc")
    await door.create("gone")
    (await door.call("DELETE", "/registered-models/gone")).expect(200, 204)
    await door.upload()
    await door.upload(b"another model")


def _draw(random: Random) -> Drawn:
    document: Document = {"digest": digest_of(random.choice([b"a model", b"a model", b"another model", b"nowhere"]))}
    maybe: dict[str, list[Any]] = {
        "run_id": [*["run-1", "run-2"] * 4, "", "r" * 600],
        "semver": [*["1.0.0", "2.1.0", "v3.0.0", "9.9.9"] * 2, "1.2", 7],
        "change_type": [*["major", "minor", "patch"] * 3, "huge"],
        "build_status": [*["ready", "training", "failed"] * 3, "lost"],
        "evidence": [_evidence(random)],
        "surprise": [1],
    }
    for name, values in maybe.items():
        if random.random() < SHARES[name]:
            document[name] = random.choice(values)
    body = json.dumps(document).encode()
    if random.random() < 0.06:
        body = random.choice([b"", b"[]", b"{", b'{"digest": NaN}', body[:-1] + b', "digest": "twice"}', b"\xff\xfe"])
    headers = {
        "x-request-id": [*["request-1"] * 5, "request 2", "x" * 201],
        "x-correlation-id": [*["story-1"] * 5, "story\t2"],
        "idempotency-key": ["key-1", "key-2", "key-3", "k" * 180],
        "if-match": [*['"1"', '"99"', "*"] * 3, 'W/"1"', "nonsense", '"' + "1" * 600 + '"'],
    }
    return Drawn(
        person=random.choice([*["ann"] * 6, "bob", "eve", "fay", "nobody"]),
        path=random.choice([*["risk"] * 8, "churn", "churn", "gone", "missing", "-odd"]),
        body=body,
        headers={name: random.choice(values) for name, values in headers.items() if random.random() < 0.2},
    )


def _evidence(random: Random) -> Document:
    drawn: Document = {"metrics": {"auc": random.choice([0.5, 0.75, 1]), "mae": 2.5}}
    if random.random() < 0.5:
        drawn["feature_schema"] = random.choice([FEATURES, WIDER])
    if random.random() < 0.3:
        drawn["parent"] = {"model": random.choice(["risk", "churn", "missing"]), "number": random.choice([1, 2, 50])}
    if random.random() < 0.2:
        drawn["run_id"] = random.choice(["run-1", "run-4"])
    return drawn


async def _send(door: Door, drawn: Drawn, content_type: Mapping[str, str]) -> Reply:
    person = replace(door, http=replace(door.http, token=f"{drawn.person}s-token"))
    headers = {**drawn.headers, **content_type}
    if "idempotency-key" in headers:
        # A key belongs to its actor, whatever the project.
        headers["idempotency-key"] = f"{door.project}/{headers['idempotency-key']}"
    return await person.call("POST", f"/registered-models/{drawn.path}/versions", data=drawn.body, headers=headers)


def _answer(reply: Reply) -> object:
    return [reply.status, reply.media_type, reply.etag, reply.document]


async def _left(door: Door) -> object:
    async with door.database.acquire() as connection:
        rows = {name: [row["row"] for row in await connection.fetch(text, door.project)] for name, text in ROWS.items()}
    # The gate in front of both ways puts its refusals on record later, at any place among the others.
    entries = [
        {name: value for name, value in entry.items() if name not in ("place", "previous_hash", "hash")}
        for entry in await door.audit()
        if entry["action"] != "versions.register.refused"
    ]
    return [rows, await door.facts(), entries]


def _plain(door: Door, found: object) -> str:
    """The same text for what differs in nothing but the project's name, identifiers and moments."""
    text = json.dumps(found, default=str, sort_keys=True, indent=1).replace(door.project, "P")
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text)
    return re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*(Z|[+-]\d\d:?\d\d)?", "WHEN", text)
