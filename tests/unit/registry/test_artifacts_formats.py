"""Formats are told from the first bytes, and a wrong claim is refused. Nothing is opened."""

import io
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import joblib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard_registry.artifacts.formats import (
    Claim,
    Format,
    FormatContradictedError,
    decide_format,
    holds_pickle,
    sniff,
)
from onnx import TensorProto, helper


class Explosive:
    """Whoever unpickles this fails."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return _explode, ("an artifact was unpickled",)


def _explode(message: str) -> None:
    raise AssertionError(message)


def an_onnx_model() -> bytes:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [value])
    return bytes(helper.make_model(graph).SerializeToString())


def a_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", b"x")
    return buffer.getvalue()


def a_torch_archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps(Explosive()))
    return buffer.getvalue()


SAMPLES: dict[Format, bytes] = {
    Format.PICKLE: pickle.dumps(Explosive()),
    Format.JOBLIB: zlib.compress(b"compressed by joblib"),
    Format.ZIP: a_zip(),
    Format.TORCH: a_torch_archive(),
    Format.ONNX: an_onnx_model(),
    Format.SAFETENSORS: (16).to_bytes(8, "little") + b'{"__metadata__":{}}',
    Format.H5: b"\x89HDF\r\n\x1a\n" + bytes(100),
    Format.JSONL: b'{"text": "a"}\n{"text": "b"}\n',
    Format.UNKNOWN: b"#!/bin/sh\n",
}


@pytest.mark.parametrize("expected", list(Format))
def test_each_format_is_told_from_its_first_bytes(expected: Format) -> None:
    assert sniff(SAMPLES[expected]) is expected


@pytest.mark.parametrize("compress", [0, 3])
def test_what_joblib_writes_agrees_with_the_claim_joblib(tmp_path: Path, compress: int) -> None:
    path = tmp_path / "model.joblib"
    joblib.dump({"weights": [1.0, 2.0]}, path, compress=compress)

    assert decide_format(path.read_bytes(), claim=Claim.JOBLIB) == "joblib"


@pytest.mark.parametrize(
    ("claim", "looks_like"),
    [
        (Claim.CLOUDPICKLE, Format.PICKLE),
        (Claim.DILL, Format.PICKLE),
        (Claim.TORCHSCRIPT, Format.ZIP),
        (Claim.SAVED_MODEL, Format.ZIP),
        (Claim.KERAS, Format.H5),
    ],
)
def test_a_claim_that_the_bytes_agree_with_is_recorded(claim: Claim, looks_like: Format) -> None:
    assert decide_format(SAMPLES[looks_like], claim=claim) == claim.value


@pytest.mark.parametrize("claim", list(Claim))
def test_a_claim_that_the_bytes_contradict_is_refused(claim: Claim) -> None:
    with pytest.raises(FormatContradictedError, match=f"claimed to be {claim}"):
        decide_format(SAMPLES[Format.UNKNOWN], claim=claim)


@given(st.binary(max_size=64))
def test_any_bytes_have_some_format(head: bytes) -> None:
    assert sniff(head) in Format


@pytest.mark.parametrize("found", list(Format))
def test_pickles_are_marked_as_such_from_their_bytes(found: Format) -> None:
    expected = found in {Format.PICKLE, Format.JOBLIB, Format.TORCH}

    assert holds_pickle(SAMPLES[found]) is expected
