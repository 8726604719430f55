"""Every part of an artifact is judged: a pickle is found wherever it hides, and nothing is ever loaded."""

import asyncio
import io
import tempfile
import time
import zipfile
from pathlib import Path

import joblib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard_events.values import Evidence
from modelyard_registry.artifact_inspection.files import inspect
from modelyard_registry.artifact_inspection.findings import Budget, Inspection
from modelyard_registry.artifact_inspection.sources import MemorySource
from modelyard_registry.artifact_inspection.stored import Inspector
from modelyard_registry.artifact_stores.memory import MemoryArtifactStore
from modelyard_registry.artifacts.formats import FormatClaim, FormatContradictedError, decide_format
from modelyard_registry.artifacts.manifest import Manifest, inspect_folder
from modelyard_registry.gates.domain import GateInputs, judge
from modelyard_registry.gates.rules import SecurityGate

from tests.unit.registry.artifact_samples import (
    CODE_FREE,
    NOT_KNOWN,
    RUNS_CODE,
    VARIABLES,
    a_pickle,
    a_safetensors_file,
    a_saved_model,
    a_zip,
    an_onnx_model,
)
from tests.unit.registry.test_artifacts_manifest import a_file


def look(content: bytes) -> Inspection:
    return inspect(MemorySource(content), budget=Budget())


def look_at_folder(files: dict[str, bytes]) -> Inspection:
    listed = [a_file(path, content) for path, content in files.items()]
    known = {file.digest: look(files[file.path]) for file in listed}
    return inspect_folder(Manifest.of(listed), known)


def passes(inspection: Inspection, **rule: object) -> bool:
    inputs = GateInputs(
        evidence=Evidence(),
        checks={},
        model_card=None,
        digest="sha256:" + "9f" * 32,
        format=decide_format(inspection.format, claim=None),
        artifact=inspection.alone(),
        endpoint_health=None,
        owner=None,
        review_status=None,
        primary_metric=None,
        higher_is_better=True,
        champion=None,
        had_champion=False,
        rollback_target=None,
    )
    [verdict] = judge([SecurityGate.model_validate({"gate": "security", **rule})], inputs)
    return verdict.passed


@pytest.mark.parametrize("name", CODE_FREE)
def test_what_is_data_passes_the_security_gate(name: str) -> None:
    expected, content = CODE_FREE[name]

    found = look(content)

    assert (found.format, found.findings) == (expected, ())
    assert passes(found)


@pytest.mark.parametrize("name", RUNS_CODE)
def test_what_can_run_code_is_refused_unless_the_policy_allows_it(name: str) -> None:
    found = look(RUNS_CODE[name])

    assert found.executes_code
    assert not passes(found)
    assert not passes(found, formats=sorted(found.formats | {found.format, "unknown"}))


@pytest.mark.parametrize("name", NOT_KNOWN)
def test_what_is_not_known_to_hold_no_code_is_refused_unless_the_policy_names_it(name: str) -> None:
    found = look(NOT_KNOWN[name])

    assert not found.executes_code
    assert not passes(found)
    assert passes(found, formats=sorted(found.formats | {decide_format(found.format, claim=None)}))


def test_a_pickle_is_marked_as_one_wherever_it_is() -> None:
    hidden = ("zip with a protocol-0 pickle", "joblib in xz", "tar.gz with a pickle", "pickle of protocol 0", "torch")

    assert all(look(RUNS_CODE[name]).has_pickle for name in hidden)


@pytest.mark.parametrize(
    "files",
    [
        {"saved_model.pb": b"any bytes", "model.pkl": a_pickle()},
        {"saved_model.pb": a_saved_model(), "model.pkl": a_pickle()},
        {"model.onnx": an_onnx_model(), "loader.json": a_pickle()},
        {"model.onnx": an_onnx_model(), "loader.json": a_pickle(0)},
        {"model.onnx": an_onnx_model(), "custom.py": b"x = 1\n"},
        {"model.onnx": an_onnx_model(), "ops/lib.so": b"\x7fELF" + bytes(60)},
        {"model.onnx": an_onnx_model(), "a.gz": RUNS_CODE["joblib in gzip"]},
        {"data.jsonl": b'{"a": 1}\n', "b": a_pickle()},
        {"weights.h5": RUNS_CODE["hdf5"]},
        {"model.onnx": an_onnx_model(external="../w.bin"), "w.bin": VARIABLES},
        {"model.onnx": an_onnx_model(external="w.bin")},
        {"model.onnx": an_onnx_model(external="w.bin"), "w.bin": a_pickle()},
        {"saved_model.pb": a_saved_model(), "keras_metadata.pb": b'{"class_name": "Lambda"}'},
        {"model.safetensors": a_safetensors_file(), "config.json": b'{"auto_map": {"AutoModel": "x.Y"}}'},
    ],
)
def test_a_folder_with_one_file_that_can_run_code_is_refused(files: dict[str, bytes]) -> None:
    assert not passes(look_at_folder(files))
    assert look_at_folder(files).executes_code


@pytest.mark.parametrize(
    "files",
    [
        {"saved_model.pb": b"any bytes"},
        {"model.onnx": an_onnx_model(), "weights.bin": VARIABLES},
        {"model.onnx": b"\x08\x07\x12\x04sk"},
        {"model.onnx": an_onnx_model(), "run": b"import os\n"},
        {"variables/variables.data-00000-of-00001": VARIABLES},
    ],
)
def test_a_folder_with_a_file_that_nobody_knows_is_refused(files: dict[str, bytes]) -> None:
    assert not passes(look_at_folder(files))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {
                "saved_model.pb": a_saved_model(),
                "variables/variables.index": VARIABLES,
                "variables/variables.data-00000-of-00001": VARIABLES + b"1",
                "fingerprint.pb": VARIABLES + b"2",
                "assets/empty.txt": b"",
            },
            "saved-model",
        ),
        ({"model.safetensors": a_safetensors_file(), "config.json": b"{}", "README.md": b"# A"}, "safetensors"),
        ({"model.onnx": an_onnx_model(external="w.bin"), "w.bin": VARIABLES}, "onnx"),
        ({"a.onnx": an_onnx_model(), "b.safetensors": a_safetensors_file()}, "folder"),
    ],
)
def test_a_folder_of_data_has_the_format_of_its_model_and_passes(files: dict[str, bytes], expected: str) -> None:
    found = look_at_folder(files)

    assert (found.format, found.findings) == (expected, ())
    assert passes(found)


def test_a_model_whose_data_lie_elsewhere_is_no_artifact_by_itself() -> None:
    found = look(an_onnx_model(external="w.bin"))

    assert found.outside == ("w.bin",)
    assert not passes(found)


def test_an_entry_that_no_directory_lists_is_found() -> None:
    hidden, listed = a_zip({"data.pkl": a_pickle()}), a_zip({"a.txt": b"a"})
    local = hidden[: hidden.index(b"PK\x01\x02")]
    end = listed.index(b"PK\x05\x06")
    directory = listed.index(b"PK\x01\x02")
    moved = (directory + len(local)).to_bytes(4, "little")
    entry = listed[directory:end]
    entry = entry[:42] + len(local).to_bytes(4, "little") + entry[46:]
    content = local + listed[:directory] + entry + listed[end : end + 16] + moved + listed[end + 20 :]
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == ["a.txt"]

    assert look(content).executes_code


@pytest.mark.parametrize("name", ["zip of a bomb", "gzip of a bomb", "zip with many entries"])
def test_what_inflates_without_end_is_given_up_soon(name: str) -> None:
    began = time.perf_counter()

    found = look(RUNS_CODE[name])

    assert time.perf_counter() - began < 10
    assert any("more" in finding.why for finding in found.findings)


@given(st.binary(max_size=200))
def test_any_bytes_can_be_looked_at(content: bytes) -> None:
    assert look(content).format


@given(st.sampled_from(sorted({**RUNS_CODE, **NOT_KNOWN})), st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_damaged_artifacts_can_be_looked_at(name: str, at: int, damage: bytes) -> None:
    content = {**RUNS_CODE, **NOT_KNOWN}[name][:20_000]

    assert look(content[:at] + damage + content[at + len(damage) :]).format


@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
def test_what_joblib_writes_is_a_pickle_and_agrees_with_its_claim(tmp_path: Path, compress: object) -> None:
    path = tmp_path / "model.joblib"
    joblib.dump({"weights": [1.0, 2.0]}, path, compress=compress)

    found = look(path.read_bytes())

    assert found.has_pickle
    assert decide_format(found.format, claim=FormatClaim.JOBLIB) == "joblib"


def test_a_zip_without_a_graph_is_no_saved_model() -> None:
    with pytest.raises(FormatContradictedError, match="claimed to be saved-model"):
        decide_format(look(a_zip({"archive/version": b"3"})).format, claim=FormatClaim.SAVED_MODEL)


async def test_stored_bytes_are_read_by_ranges_and_by_other_threads_than_the_one_that_answers() -> None:
    store = MemoryArtifactStore()
    content = a_zip({"padding.txt": b"a" * 3_000_000, "x": a_pickle(0), "y.txt": b"b" * 600_000})
    store.kept["sha256:x"] = content
    inspector = Inspector()
    of_this_thread, of_all = time.thread_time(), time.process_time()

    found = await asyncio.gather(
        *(inspector.inspect_file(store, "sha256:x", size_bytes=len(content)) for _ in range(4))
    )

    of_this_thread, of_all = time.thread_time() - of_this_thread, time.process_time() - of_all
    assert all(each.has_pickle for each in found)
    assert of_this_thread < of_all / 2


def test_no_file_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    look(RUNS_CODE["gzip of a bomb"])

    assert list(tmp_path.iterdir()) == []
