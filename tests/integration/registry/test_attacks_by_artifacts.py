"""Attempts to get code past the security gate, by artifacts of ways that were seen elsewhere."""

import pytest

from tests.integration.registry.door import Document, Door, digest_of, versions
from tests.unit.registry.artifact_samples import (
    CODE_FREE,
    RUNS_CODE,
    a_pickle,
    a_saved_model,
    a_zip,
    an_onnx_model,
)

pytestmark = pytest.mark.integration

FOLDERS = {
    "saved-model": {"saved_model.pb": b"any", "model.pkl": a_pickle()},
    "loader": {"model.onnx": an_onnx_model(), "loader.json": a_pickle()},
    "protocol 0 and Python": {"model.onnx": an_onnx_model(), "notes.txt": a_pickle(0), "custom.py": b"x = 1\n"},
    "json lines": {"rows.jsonl": b'{"a": 1}\n', "rows": a_pickle()},
    "hdf5": {"saved_model.pb": a_saved_model(), "layers.h5": RUNS_CODE["hdf5"]},
}
FILES = (
    "torch", "torch, pickle not first", "pickle of protocol 0", "joblib in gzip", "zip in a zip", "hdf5",
    "arrays with objects", "zip behind other bytes", "pickle in the shape of safetensors", "a script",
)  # fmt: skip


async def demand_security(door: Door, **rule: object) -> None:
    move = {"to_stage": "staging", "gates": [{"gate": "security", **rule}]}
    (await door.call("PUT", "/policies", {"moves": [move]})).expect(200)


async def a_folder(door: Door, files: dict[str, bytes]) -> Document:
    for content in filter(None, files.values()):
        await door.upload(content)
    listed = [{"path": path, "digest": digest_of(each), "bytes": len(each)} for path, each in files.items()]
    folder: Document = (await door.call("POST", "/artifacts/manifests", {"files": listed})).expect(200, 201)
    return folder


async def refusal_of(door: Door, digest: str) -> Document:
    """What the gate says of a version with this artifact, which it does not let pass."""
    await door.create()
    await demand_security(door)
    number = (await door.register(digest=digest))["number"]
    reply = await door.move(number, "staging")
    assert (reply.status, reply.document["type"]) == (409, "/problems/gates-failed")
    [verdict] = reply.document["verdicts"]
    return dict(verdict)


@pytest.mark.parametrize("name", FILES)
async def test_no_file_that_can_run_code_passes_the_security_gate(door: Door, name: str) -> None:
    digest = await door.upload(RUNS_CODE[name])

    verdict = await refusal_of(door, digest)

    document = (await door.call("PUT", f"/artifacts/{digest}", data=RUNS_CODE[name])).expect(200)
    assert document["executes_code"]
    assert document["findings"]
    assert "can run code" in verdict["reason"]


@pytest.mark.parametrize("name", FOLDERS)
async def test_no_folder_with_a_file_that_can_run_code_passes_the_security_gate(door: Door, name: str) -> None:
    folder = await a_folder(door, FOLDERS[name])

    verdict = await refusal_of(door, folder["digest"])

    assert folder["executes_code"]
    assert "can run code" in verdict["reason"]


async def test_an_archive_that_is_claimed_to_be_a_saved_model_is_none_without_its_graph(door: Door) -> None:
    archive = a_zip({"archive/version": b"3", "archive/data.pkl": a_pickle(2)})

    reply = await door.call("PUT", f"/artifacts/{digest_of(archive)}?format=saved-model", data=archive)

    assert (reply.status, reply.document["type"]) == (422, "/problems/format-contradicted")


@pytest.mark.parametrize("name", ["onnx", "safetensors", "zip of a saved model"])
async def test_what_is_data_passes_the_security_gate(door: Door, name: str) -> None:
    await door.create()
    await demand_security(door)
    number = (await door.register(digest=await door.upload(CODE_FREE[name][1])))["number"]

    (await door.move(number, "staging")).expect(200)


async def test_a_pickle_that_is_attached_to_a_version_is_judged_with_it(door: Door) -> None:
    await door.create()
    await demand_security(door)
    number = (await door.register(digest=await door.upload(an_onnx_model())))["number"]
    path = f"{versions()}/{number}/artifacts/tokenizer"
    attached = (await door.call("PUT", path, {"digest": await door.upload(a_pickle())})).expect(201)

    reply = await door.move(number, "staging")

    assert attached["executes_code"]
    assert reply.status == 409
    assert "attached as tokenizer" in reply.document["fix"]


async def test_an_artifact_of_which_nothing_is_known_passes_once_it_is_uploaded_again(door: Door) -> None:
    await door.create()
    await demand_security(door)
    digest = await door.upload(an_onnx_model())
    number = (await door.register(digest=digest))["number"]
    async with door.database.acquire() as connection:
        await connection.execute("UPDATE artifacts SET inspection = NULL WHERE digest = $1", digest)

    before = await door.move(number, "staging")
    await door.upload(an_onnx_model())

    assert "upload it again" in before.document["fix"]
    (await door.move(number, "staging")).expect(200)


async def test_a_policy_can_allow_artifacts_that_run_code(door: Door) -> None:
    await door.create()
    await demand_security(door, allow_pickle=True)
    number = (await door.register(digest=await door.upload(RUNS_CODE["torch"])))["number"]

    (await door.move(number, "staging")).expect(200)
