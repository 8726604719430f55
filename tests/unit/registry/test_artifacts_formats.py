"""Formats are told from the bytes, and a wrong claim is refused before anything is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard_registry.artifact_inspection.formats import Format, sniff
from modelyard_registry.artifacts.formats import (
    FormatClaim,
    FormatContradictedError,
    decide_format,
    refuse_contradicted,
)

from tests.unit.registry.artifact_samples import a_pickle, a_safetensors_file, a_zip, an_onnx_model

SAMPLES: dict[Format, bytes] = {
    Format.PICKLE: a_pickle(),
    Format.ZIP: a_zip({"a": b"a"}),
    Format.ONNX: an_onnx_model(),
    Format.SAFETENSORS: a_safetensors_file(),
    Format.H5: b"\x89HDF\r\n\x1a\n" + bytes(100),
    Format.JSONL: b'{"text": "a"}\n{"text": "b"}\n',
    Format.GZIP: b"\x1f\x8b\x08" + bytes(20),
    Format.EXECUTABLE: b"#!/bin/sh\n",
    Format.UNKNOWN: b"words",
}


@pytest.mark.parametrize("expected", SAMPLES)
def test_each_format_is_told_from_its_first_bytes(expected: Format) -> None:
    assert sniff(SAMPLES[expected]) is expected


@pytest.mark.parametrize(
    ("claim", "looks_like"),
    [
        (FormatClaim.CLOUDPICKLE, Format.PICKLE),
        (FormatClaim.DILL, Format.PICKLE),
        (FormatClaim.JOBLIB, Format.GZIP),
        (FormatClaim.TORCHSCRIPT, Format.ZIP),
        (FormatClaim.SAVED_MODEL, Format.ZIP),
        (FormatClaim.KERAS, Format.H5),
    ],
)
def test_a_claim_that_the_first_bytes_agree_with_is_no_fault(claim: FormatClaim, looks_like: Format) -> None:
    refuse_contradicted(SAMPLES[looks_like], claim=claim)


@pytest.mark.parametrize("claim", list(FormatClaim))
def test_a_claim_that_the_bytes_contradict_is_refused(claim: FormatClaim) -> None:
    with pytest.raises(FormatContradictedError, match=f"claimed to be {claim}"):
        refuse_contradicted(SAMPLES[Format.UNKNOWN], claim=claim)
    with pytest.raises(FormatContradictedError, match=f"claimed to be {claim}"):
        decide_format("unknown", claim=claim)


def test_a_claim_that_all_of_the_bytes_agree_with_is_recorded() -> None:
    assert decide_format("torch", claim=FormatClaim.ZIP) == "zip"
    assert decide_format("torch", claim=FormatClaim.TORCHSCRIPT) == "torchscript"


@given(st.binary(max_size=64))
def test_any_bytes_have_some_format(head: bytes) -> None:
    assert sniff(head) in Format
