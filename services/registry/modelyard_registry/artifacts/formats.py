"""Which format an artifact has, told from its bytes, and whether they agree with what its uploader claims."""

import json
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from modelyard_runtime.problems import InvalidRequestError

from modelyard_registry.artifacts.inspection.pickles import is_marked_pickle

METADATA = "metadata"
"""The format of what stands in for an artifact when a version was registered without one: nothing can serve it."""


class Format(StrEnum):
    """What can be told from the bytes."""

    ONNX = "onnx"
    PICKLE = "pickle"
    JOBLIB = "joblib"
    ZIP = "zip"
    TORCH = "torch"
    KERAS = "keras"
    MAR = "mar"
    NPY = "npy"
    NPZ = "npz"
    SAFETENSORS = "safetensors"
    SAVED_MODEL = "saved-model"
    H5 = "h5"
    TAR = "tar"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    ZLIB = "zlib"
    ZSTD = "zstd"
    LZ4 = "lz4"
    GGUF = "gguf"
    TFLITE = "tflite"
    CATBOOST = "catboost"
    RDS = "rds"
    EXECUTABLE = "executable"
    JAVA = "java"
    JSONL = "jsonl"
    UNKNOWN = "unknown"


class Claim(StrEnum):
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

_MAY_LOOK_LIKE: Mapping[Claim, frozenset[Format]] = MappingProxyType(
    {
        # A SavedModel's graph begins as an ONNX model does.
        Claim.ONNX: frozenset({Format.ONNX}),
        Claim.PICKLE: frozenset({Format.PICKLE}),
        Claim.CLOUDPICKLE: frozenset({Format.PICKLE}),
        Claim.DILL: frozenset({Format.PICKLE}),
        # joblib's files are pickles, unless they are compressed.
        Claim.JOBLIB: frozenset({Format.PICKLE, Format.JOBLIB, *_COMPRESSED}),
        Claim.ZIP: _ZIPPED,
        Claim.TORCHSCRIPT: frozenset({Format.ZIP, Format.TORCH}),
        Claim.SAVED_MODEL: frozenset({Format.ZIP, Format.SAVED_MODEL}),
        Claim.KERAS: frozenset({Format.ZIP, Format.H5, Format.KERAS}),
        Claim.SAFETENSORS: frozenset({Format.SAFETENSORS}),
        Claim.H5: frozenset({Format.H5}),
        Claim.JSONL: frozenset({Format.JSONL}),
    }
)
_IS_IN_THE_END: Mapping[Claim, frozenset[str]] = MappingProxyType(
    {
        Claim.SAVED_MODEL: frozenset({Format.SAVED_MODEL}),
        Claim.TORCHSCRIPT: frozenset({Format.TORCH}),
        Claim.KERAS: frozenset({Format.KERAS, Format.H5}),
        # A single line is both.
        Claim.JSONL: frozenset({Format.JSONL, "json"}),
    }
)
"""Where all of the bytes tell more than the first ones."""

_MARKS: tuple[tuple[bytes, Format], ...] = (
    (b"\x89HDF\r\n\x1a\n", Format.H5),
    (b"PK\x03\x04", Format.ZIP),
    (b"PK\x05\x06", Format.ZIP),
    (b"PK\x07\x08", Format.ZIP),
    (b"\x93NUMPY", Format.NPY),
    (b"GGUF", Format.GGUF),
    (b"CBM1", Format.CATBOOST),
    (b"\x1f\x8b", Format.GZIP),
    (b"BZh", Format.BZIP2),
    (b"\xfd7zXZ\x00", Format.XZ),
    (b"\x5d\x00\x00", Format.XZ),
    (b"\x28\xb5\x2f\xfd", Format.ZSTD),
    (b"\x04\x22\x4d\x18", Format.LZ4),
    (b"ZF0x", Format.JOBLIB),
    (b"\x7fELF", Format.EXECUTABLE),
    (b"MZ", Format.EXECUTABLE),
    (b"\xcf\xfa\xed\xfe", Format.EXECUTABLE),
    (b"\xce\xfa\xed\xfe", Format.EXECUTABLE),
    (b"\x00asm", Format.EXECUTABLE),
    (b"#!", Format.EXECUTABLE),
    (b"\xca\xfe\xba\xbe", Format.JAVA),
    (b"\xac\xed\x00\x05", Format.JAVA),
    (b"RDX2\n", Format.RDS),
    (b"RDX3\n", Format.RDS),
    (b"RDA2\n", Format.RDS),
    (b"RDA3\n", Format.RDS),
    (b"X\n\x00\x00\x00", Format.RDS),
    (b"A\n2\n", Format.RDS),
    (b"A\n3\n", Format.RDS),
    (b"B\n\x02\x00\x00\x00", Format.RDS),
    (b"B\n\x03\x00\x00\x00", Format.RDS),
)
_ZLIB_HEADS = (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")
_SAFETENSORS_HEADER_BYTES_MAX = 100 * 1024 * 1024
# Tags of the fields of an ONNX ModelProto that may follow its first, `ir_version`.
_ONNX_SECOND_TAGS = frozenset({0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72})
_ONNX_IR_VERSION_MAX = 64


def sniff(head: bytes) -> Format:
    """The format of an artifact that begins with `head`."""
    if is_marked_pickle(head):
        return Format.PICKLE
    for mark, found in _MARKS:
        if head.startswith(mark):
            return found
    if head[4:8] == b"TFL3":
        return Format.TFLITE
    if head[257:262] == b"ustar":
        return Format.TAR
    if _is_safetensors(head):
        return Format.SAFETENSORS
    if _is_onnx(head):
        return Format.ONNX
    if head.startswith(_ZLIB_HEADS):
        return Format.ZLIB
    return Format.JSONL if _is_jsonl(head) else Format.UNKNOWN


def refuse_contradicted(head: bytes, *, claim: Claim | None) -> None:
    """Raise FormatContradictedError when the first bytes are not such as are claimed."""
    found = sniff(head)
    if claim is not None and found not in _MAY_LOOK_LIKE[claim]:
        raise FormatContradictedError(
            f"The artifact was claimed to be {claim}, but its first bytes look {_described(found)}.",
            fix="Upload the right file, or leave `format` out.",
        )


def decide_format(found: str, *, claim: Claim | None) -> str:
    """The format to record: the claim when all of the bytes agree with it, else what they are.

    Raises FormatContradictedError when they do not agree.
    """
    found = Format.UNKNOWN if found == "text" else found
    if claim is None:
        return found
    if found not in _IS_IN_THE_END.get(claim, _MAY_LOOK_LIKE[claim]):
        raise FormatContradictedError(
            f"The artifact was claimed to be {claim}, but its bytes look {_described(found)}.",
            fix="Upload the right file, or leave `format` out.",
        )
    return claim.value


def _described(found: str) -> str:
    return "like none of the known formats" if found == Format.UNKNOWN else f"like {found}"


def _is_safetensors(head: bytes) -> bool:
    return (
        len(head) > 9 and head[8:9] == b"{" and 1 < int.from_bytes(head[:8], "little") < _SAFETENSORS_HEADER_BYTES_MAX
    )


def _is_onnx(head: bytes) -> bool:
    return len(head) > 2 and head[0] == 0x08 and 1 <= head[1] <= _ONNX_IR_VERSION_MAX and head[2] in _ONNX_SECOND_TAGS


def _is_jsonl(head: bytes) -> bool:
    line, newline, _ = head.partition(b"\n")
    if not line.startswith(b"{"):
        return False
    if not newline:
        # The first line is longer than what is in hand: an object that has begun is all that can be told.
        return True
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
