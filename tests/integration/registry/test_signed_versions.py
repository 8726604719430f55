"""A security gate that demands a signature, over HTTP: whose key made it, over which digest, counts at each move."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.integration.registry.approvals_world import Guarded
from tests.integration.registry.door import Document, Door, versions
from tests.world.http_client import Reply

pytestmark = pytest.mark.integration

RELEASE, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) for seed in (7, 8))
GATE = {"gate": "security", "formats": ["unknown"], "signed": True}


def key(private: Ed25519PrivateKey = RELEASE, *, key_id: str = "release") -> Document:
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    return {"key_id": key_id, "public_key": public}


async def demand(door: Door, *keys: Document, **facts: object) -> None:
    """Signatures by these keys before staging."""
    policy = {"moves": [{"to_stage": "staging", "gates": [GATE], **facts}], "signature_keys": list(keys)}
    (await door.call("PUT", "/policies", policy)).expect(200)


async def sign(door: Door, content: bytes, *, number: int = 1) -> Reply:
    """Attach what may be a signature."""
    path = f"{versions()}/{number}/artifacts/signature"
    return await door.call("PUT", path, {"digest": await door.upload(content)})


async def a_version(door: Door) -> str:
    """The digest of version 1."""
    await door.create()
    return str((await door.register())["digest"])


@pytest.mark.parametrize("encode", [bytes, base64.b64encode, lambda raw: base64.b64encode(raw) + b"\n"])
async def test_a_version_signed_with_a_key_of_the_policy_passes_and_the_verdict_names_it(
    door: Door, encode: object
) -> None:
    digest = await a_version(door)
    await demand(door, key(OTHER, key_id="other"), key())
    unsigned = await door.move(1, "staging")
    assert callable(encode)
    (await sign(door, encode(RELEASE.sign(digest.encode())))).expect(201)

    (await door.move(1, "staging")).expect(200)

    [move] = (await door.call("GET", f"{versions()}/1/transitions")).expect(200)["items"]
    assert (unsigned.status, unsigned.document["type"]) == (409, "/problems/gates-failed")
    assert "attached as 'signature'" in unsigned.document["fix"]
    assert unsigned.document["verdicts"][0]["evidence"]["signed_by"] is None
    assert move["verdicts"][0]["evidence"]["signed_by"] == "release"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (OTHER.sign(b"sha256:" + b"0" * 64), "none of the keys release"),
        (RELEASE.sign(b"sha256:" + b"0" * 64), "none of the keys release"),
        (b"\x00" * 64, "none of the keys release"),
        (b"signed by me", "no Ed25519 signature"),
        (b"x" * 5_000, "Nothing that can be a signature"),
    ],
)
async def test_what_is_no_signature_of_this_digest_by_this_key_does_not_pass(
    door: Door, content: bytes, words: str
) -> None:
    await a_version(door)
    await demand(door, key())
    (await sign(door, content)).expect(201)

    refused = await door.move(1, "staging")

    assert refused.status == 409
    assert words in refused.document["fix"]
    assert await door.stage_of(1) == "development"


async def test_a_key_that_the_policy_no_longer_names_signs_nothing_and_a_models_own_replace_its_projects(
    door: Door,
) -> None:
    digest = await a_version(door)
    (await sign(door, RELEASE.sign(digest.encode()))).expect(201)
    await demand(door)
    none = await door.move(1, "staging")
    await demand(door, key(OTHER, key_id="other"))
    another = await door.move(1, "staging")
    (await door.call("PUT", "/registered-models/risk/policy", {"signature_keys": [key()]})).expect(200)

    own = await door.move(1, "staging")

    assert (none.status, another.status, own.status) == (409, 409, 200)
    assert "names no `signature_keys`" in none.document["fix"]


async def test_a_request_for_a_signed_version_ends_in_nothing_when_the_keys_change(door: Door) -> None:
    digest = await a_version(door)
    (await sign(door, RELEASE.sign(digest.encode()))).expect(201)
    await demand(door, key(), approvals={"count": 1})
    asked = (await door.call("POST", f"{versions()}/1/transition-requests", {"to_stage": "staging"})).expect(201)
    await demand(door, key(OTHER), approvals={"count": 1})

    late = await Guarded(door=door).say("approve", asked["request_id"], actor="cem")

    assert (late.status, late.document["type"]) == (409, "/problems/request-stale")


@pytest.mark.parametrize(
    "keys",
    [
        [{"key_id": "a", "public_key": "AAAA"}],
        [{"key_id": "a", "public_key": "!" * 44}],
        [{"key_id": "a"}],
        [key(), key(OTHER)],
    ],
)
async def test_a_policy_with_a_bad_key_is_refused(door: Door, keys: list[Document]) -> None:
    reply = await door.call("PUT", "/policies", {"signature_keys": keys})

    assert (reply.status, reply.is_problem) == (422, True)
