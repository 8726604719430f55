"""Whether the bytes of an artifact agree with the format that its uploader claims."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from modelyard_runtime.problems import InvalidRequestError

from modelyard_registry.artifact_inspection.formats import Format, sniff

METADATA = "metadata"
"""The format of what stands in for an artifact when a version was registered without one: nothing can serve it."""


class FormatClaim(StrEnum):
    """What an uploader may say that an artifact is."""

    ONNX = "onnx"
    PICKLE = "pickle"
    CLOUDPICKLE = "cloudpickle"
    DILL = "dill"
    JOBLIB = "joblib"
    ZIP = "zip"
    TORCHSCRIPT = "torchscript"
    SAVED_MODEL = "saved-model"
    KERAS = "keras"
    SAFETENSORS = "safetensors"
    H5 = "h5"
    JSONL = "jsonl"


class FormatContradictedError(InvalidRequestError):
    """The artifact is not of the format that was claimed."""

    code = "format-contradicted"
    when = "The bytes of the artifact do not look like the `format` that was claimed."
    fix = "Upload the right file, or leave `format` out."


_COMPRESSED = frozenset({Format.GZIP, Format.BZIP2, Format.XZ, Format.ZLIB, Format.ZSTD, Format.LZ4})
_ZIPPED = frozenset({Format.ZIP, Format.TORCH, Format.KERAS, Format.MAR, Format.NPZ, Format.SAVED_MODEL})

_MAY_LOOK_LIKE: Mapping[FormatClaim, frozenset[Format]] = MappingProxyType(
    {
        # A SavedModel's graph begins as an ONNX model does.
        FormatClaim.ONNX: frozenset({Format.ONNX}),
        FormatClaim.PICKLE: frozenset({Format.PICKLE}),
        FormatClaim.CLOUDPICKLE: frozenset({Format.PICKLE}),
        FormatClaim.DILL: frozenset({Format.PICKLE}),
        # joblib's files are pickles, unless they are compressed.
        FormatClaim.JOBLIB: frozenset({Format.PICKLE, Format.JOBLIB, *_COMPRESSED}),
        FormatClaim.ZIP: _ZIPPED,
        FormatClaim.TORCHSCRIPT: frozenset({Format.ZIP, Format.TORCH}),
        FormatClaim.SAVED_MODEL: frozenset({Format.ZIP, Format.SAVED_MODEL}),
        FormatClaim.KERAS: frozenset({Format.ZIP, Format.H5, Format.KERAS}),
        FormatClaim.SAFETENSORS: frozenset({Format.SAFETENSORS}),
        FormatClaim.H5: frozenset({Format.H5}),
        FormatClaim.JSONL: frozenset({Format.JSONL}),
    }
)
_IS_IN_THE_END: Mapping[FormatClaim, frozenset[str]] = MappingProxyType(
    {
        FormatClaim.SAVED_MODEL: frozenset({Format.SAVED_MODEL}),
        FormatClaim.TORCHSCRIPT: frozenset({Format.TORCH}),
        FormatClaim.KERAS: frozenset({Format.KERAS, Format.H5}),
        # A single line is both.
        FormatClaim.JSONL: frozenset({Format.JSONL, "json"}),
    }
)
"""Where all of the bytes tell more than the first ones."""


def refuse_contradicted(head: bytes, *, claim: FormatClaim | None) -> None:
    """Raise FormatContradictedError when the first bytes are not such as are claimed."""
    found = sniff(head)
    if claim is not None and found not in _MAY_LOOK_LIKE[claim]:
        raise FormatContradictedError(
            f"The artifact was claimed to be {claim}, but its first bytes look {_described(found)}."
        )


def decide_format(found: str, *, claim: FormatClaim | None) -> str:
    """The format to record: the claim when all of the bytes agree with it, else what they are.

    Raises FormatContradictedError when they do not agree.
    """
    found = Format.UNKNOWN if found == "text" else found
    if claim is None:
        return found
    if found not in _IS_IN_THE_END.get(claim, _MAY_LOOK_LIKE[claim]):
        raise FormatContradictedError(
            f"The artifact was claimed to be {claim}, but its bytes look {_described(found)}."
        )
    return claim.value


def _described(found: str) -> str:
    return "like none of the known formats" if found == Format.UNKNOWN else f"like {found}"
