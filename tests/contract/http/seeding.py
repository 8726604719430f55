"""A project in which something of each kind exists, and the names and bodies by which operations find it."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.contract.http.exploring import Known
from tests.integration.registry.door import ENDPOINT, Door, digest_of, versions
from tests.world.http_client import HttpClient

Document = dict[str, Any]

ARTIFACT = b"a model"
LARGE = b"a large model"
NEW = b"a newer model"
AGREED = {"to_stage": "production", "approvals": {"count": 1, "role": "approver"}, "apply": "on_command"}
# Whatever the project's policy becomes meanwhile: nobody has to agree here.
APPOINTED = {"champion": "manual", "moves": [{"to_stage": "production"}]}
PROJECT = "/api/v1/projects/{project}"
MODEL = f"{PROJECT}/registered-models/{{name}}"
VERSION = f"{MODEL}/versions/{{reference}}"
REQUEST = f"{PROJECT}/transition-requests/{{request_id}}"
DIGEST = f"{PROJECT}/artifacts/{{digest}}"
THEIRS = "/api/v1/registry/models"


async def seed(door: Door) -> Known:
    """Fill the door's project, and another one with requests for moves."""
    elsewhere = f"{door.project}-2"
    for name in ("risk", "doomed", "doomed-too", "wrong-name", "gone", "rolled", "appointed", "moved", "asked"):
        await door.create(name, model_type=f"type-{name}")
    await door.promote()
    await door.promote()
    staged = await _stage_one(door, "risk")
    (await door.move(staged, "canary")).expect(200)
    # One for each operation that moves a version, and one that nobody else moves: the latest.
    for _ in range(5):
        await door.register()
    await door.register("doomed")
    await door.create("checked", model_type="type-checked")
    await replace(door, http=await _somebody_else(door)).register("checked")
    for name in ("rolled", "appointed"):
        await door.promote(name=name)
        await door.promote(name=name)
    await _set_policies(door)
    (await door.call("DELETE", "/registered-models/gone")).expect(200)
    (await door.call("PUT", "/registered-models/risk/aliases/stable", {"number": 1})).expect(200)
    (await door.call("PUT", f"{versions()}/1/artifacts/tokenizer", {"digest": digest_of(ARTIFACT)})).expect(201)
    (await door.call("PUT", "/access/grants/ann", {"roles": ["admin"]})).expect(200)
    (await door.call("PUT", "/routes/type-risk/kill-switch", {"reason": "a drill"})).expect(200)
    (await door.call("POST", "/experiments", _experiment("exp-1", staged))).expect(201)
    folder = await _folder(door)
    uploads = {part: await _upload(door) for part in ("read", "part", "abort", "complete")}
    model_id = (await door.call("GET", "/registered-models/risk")).expect(200)["registered_model_id"]
    doomed_id = (await door.call("GET", "/registered-models/doomed-too")).expect(200)["registered_model_id"]
    ids = [(await door.call("GET", f"{versions()}/{number}")).expect(200)["version_id"] for number in range(1, 9)]
    names: dict[str, Sequence[str | int]] = {
        "project": [door.project],
        "name": ["risk"],
        "reference": ["1", "latest", "1.2.0"],
        "digest": [digest_of(ARTIFACT), folder],
        "path": ["weights/one.bin"],
        "upload_id": [uploads["read"]],
        "number": [1],
        "attachment": ["tokenizer"],
        "alias": ["stable"],
        "environment": ["production"],
        "model_type": ["type-risk"],
        "key": ["exp-1"],
        "actor": ["ann"],
        "key_id": [await _signing_key(door)],
        "token_id": [await _token(door)],
        "model_id": [model_id],
        "version": ["v1.0.0", "1.1.0"],
        "version_id": [ids[-1]],
        "stage": ["production", "staging"],
    }
    # In a project of their own: a request is bound to its project's policies, which are set here as well.
    requests = await _requests(await replace(door, project=elsewhere).found())
    names["request_id"] = [requests["approve"]]
    return Known(
        names=names,
        names_of=_names_of(
            elsewhere=elsewhere, requests=requests, folder=folder, uploads=uploads, doomed_id=doomed_id, moved_id=ids[5]
        ),
        bodies=_bodies(staged),
    )


async def _set_policies(door: Door) -> None:
    """Policies of models, because the project's is set while operations are tried."""
    (await door.call("PUT", "/registered-models/appointed/policy", APPOINTED)).expect(200)
    await door.promote(name="moved")
    (await door.call("PUT", "/registered-models/moved/policy", {"moves": [AGREED]})).expect(200)
    await _stage_one(door, "asked")
    (await door.call("PUT", "/registered-models/asked/policy", {"moves": [AGREED]})).expect(200)


def _names_of(
    *,
    elsewhere: str,
    requests: Mapping[str, str],
    folder: str,
    uploads: Mapping[str, str],
    doomed_id: str,
    moved_id: str,
) -> dict[str, Mapping[str, Sequence[str | int]]]:
    """What single operations take in place of the usual names."""
    return {
        **{
            f"POST {REQUEST}/{verb}": {"project": [elsewhere], "request_id": [request]}
            for verb, request in requests.items()
        },
        f"GET {REQUEST}": {"project": [elsewhere]},
        f"POST {VERSION}/deployments/production/requests": {"name": ["moved"], "reference": ["1"]},
        f"POST {MODEL}/rollback": {"name": ["rolled"]},
        f"POST {MODEL}/champion": {"name": ["appointed"]},
        f"DELETE {MODEL}": {"name": ["doomed"]},
        f"POST {MODEL}/rename": {"name": ["wrong-name"]},
        f"POST {MODEL}/restore": {"name": ["gone"]},
        # Nobody records checks of a version that they made.
        f"POST {VERSION}/checks": {"name": ["checked"], "reference": ["1"]},
        f"POST {VERSION}/transitions": {"reference": ["4"]},
        f"POST {VERSION}/transitions/dry-run": {"reference": ["5"]},
        f"POST {VERSION}/transition-requests": {"name": ["asked"], "reference": ["1"]},
        f"PUT {DIGEST}": {"digest": [digest_of(NEW)]},
        f"GET {DIGEST}/files": {"digest": [folder]},
        f"GET {DIGEST}/files/{{path}}": {"digest": [folder]},
        f"GET {DIGEST}/uploads/{{upload_id}}": {"digest": [digest_of(LARGE)]},
        **_of_upload(f"DELETE {DIGEST}/uploads/{{upload_id}}", uploads["abort"]),
        **_of_upload(f"PUT {DIGEST}/uploads/{{upload_id}}/parts/{{number}}", uploads["part"]),
        **_of_upload(f"POST {DIGEST}/uploads/{{upload_id}}/complete", uploads["complete"]),
        f"DELETE {THEIRS}/{{model_id}}": {"model_id": [doomed_id]},
        f"POST {THEIRS}/versions/{{version_id}}/transition": {"version_id": [moved_id]},
        "POST /api/v1/models/{name}/{version}/transition": {"version": ["1.6.0"]},
    }


async def _stage_one(door: Door, name: str) -> int:
    number = int((await door.register(name))["number"])
    await door.deploy(number, name=name)
    (await door.move(number, "staging", name=name)).expect(200)
    return number


def _bodies(staged: int) -> Mapping[str, object]:
    """Bodies that succeed where the documented example names something that is not here."""
    return {
        f"PUT {DIGEST}": NEW.decode(),
        f"PUT {DIGEST}/uploads/{{upload_id}}/parts/{{number}}": LARGE.decode(),
        f"POST {PROJECT}/artifacts/manifests": _manifest("weights/two.bin"),
        f"POST {MODEL}/versions": {"digest": digest_of(ARTIFACT)},
        f"PUT {VERSION}/artifacts/{{attachment}}": {"digest": digest_of(ARTIFACT)},
        f"POST {VERSION}/transitions": {"to_stage": "staging"},
        f"POST {VERSION}/checks": {"kind": "tests", "outcome": "passed", "digest": digest_of(ARTIFACT)},
        f"POST {VERSION}/transitions/dry-run": {"to_stage": "staging"},
        f"POST {VERSION}/transition-requests": {"to_stage": "production"},
        f"PUT {VERSION}/deployments/{{environment}}": {"url": f"{ENDPOINT}/risk/1"},
        f"POST {VERSION}/deployments/production/requests": {"url": f"{ENDPOINT}/risk/2"},
        f"POST {PROJECT}/artifacts/{{digest}}/uploads": {"bytes": len(ARTIFACT)},
        f"POST {MODEL}/rollback": {"replaces": 2},
        f"POST {MODEL}/champion": {"number": 1, "replaces": 2},
        f"PUT {MODEL}/aliases/{{alias}}": {"number": 1},
        f"POST {PROJECT}/experiments": _experiment("exp-2", staged),
        f"POST {THEIRS}/{{model_id}}/versions": {"version": "v7.0.0"},
        f"POST {THEIRS}/versions/{{version_id}}/transition": {"stage": "archived"},
        "POST /api/v1/models/{name}/{version}/transition": {"to_stage": "archived"},
    }


def _of_upload(operation: str, upload: str) -> Mapping[str, Mapping[str, Sequence[str | int]]]:
    return {operation: {"digest": [digest_of(LARGE)], "upload_id": [upload]}}


def _experiment(key: str, staged: int) -> Document:
    return {
        "key": key,
        "model_type": "type-risk",
        "tenants": [key],
        "treatment": {"model": "risk", "number": staged, "share_bp": 1_000},
    }


def _manifest(path: str) -> Document:
    return {"files": [{"path": path, "digest": digest_of(ARTIFACT), "bytes": len(ARTIFACT)}]}


async def _folder(door: Door) -> str:
    folder = await door.call("POST", "/artifacts/manifests", _manifest("weights/one.bin"))
    return str(folder.expect(201)["digest"])


async def _upload(door: Door) -> str:
    upload = await door.call("POST", f"/artifacts/{digest_of(LARGE)}/uploads", {"bytes": len(LARGE)})
    upload_id = str(upload.expect(201)["upload_id"])
    path = f"/artifacts/{digest_of(LARGE)}/uploads/{upload_id}/parts/1"
    (await door.call("PUT", path, data=LARGE)).expect(204)
    return upload_id


async def _requests(door: Door) -> dict[str, str]:
    """A transition request for each thing that can be done to one, by whom somebody else may approve."""
    made = {}
    for verb, token in {"approve": "bobs", "reject": "bobs", "withdraw": "anns", "apply": "anns"}.items():
        # A model each: one that is promoted ends the force of what was asked for another of its slot.
        await door.create(verb, model_type=f"type-{verb}")
        (await door.call("PUT", f"/registered-models/{verb}/policy", {"moves": [AGREED]})).expect(200)
        number = int((await door.register(verb))["number"])
        await door.deploy(number, name=verb)
        (await door.move(number, "staging", name=verb)).expect(200)
        asking = replace(door, http=replace(door.http, token=f"{token}-token"))
        path = f"{versions(verb)}/{number}/transition-requests"
        request = (await asking.call("POST", path, {"to_stage": "production"})).expect(201)
        made[verb] = str(request["request_id"])
    approver = replace(door, http=replace(door.http, token="cems-token"))
    (await approver.call("POST", f"/transition-requests/{made['apply']}/approve", {})).expect(200)
    return made


async def _token(door: Door) -> str:
    return str((await _issued(door, actor="gate", role="gateway"))["token_id"])


async def _somebody_else(door: Door) -> HttpClient:
    token = (await _issued(door, actor="trainer", role="data_scientist"))["token"]
    return replace(door.http, token=token)


async def _issued(door: Door, *, actor: str, role: str) -> Document:
    expires_at = (door.clock.now + timedelta(days=30)).isoformat()
    document = {"actor": actor, "project": door.project, "roles": [role], "expires_at": expires_at}
    issued: Document = (await door.http.call("POST", "/api/v1/access/tokens", document)).expect(201)
    return issued


async def _signing_key(door: Door) -> str:
    # Its own in each project: a key proves one actor only.
    private_key = Ed25519PrivateKey.from_private_bytes(sha256(door.project.encode()).digest())
    public_key = base64.b64encode(private_key.public_key().public_bytes_raw()).decode()
    document = {
        "actor": "nightly-training",
        "project": door.project,
        "topics": ["training-runs.v1"],
        "public_key": public_key,
        "expires_at": (door.clock.now + timedelta(days=30)).isoformat(),
    }
    return str((await door.http.call("POST", "/api/v1/access/signing-keys", document)).expect(201)["key_id"])
