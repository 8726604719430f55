"""Which format an artifact has, told from its first bytes. Nothing is ever opened, let alone unpickled."""

import json
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from modelyard_runtime.problems import InvalidRequestError


class Format(StrEnum):
    """What can be told from the bytes."""

    ONNX = "onnx"
    PICKLE = "pickle"
    JOBLIB = "joblib"
    ZIP = "zip"
    TORCH = "torch"
    SAFETENSORS = "safetensors"
    H5 = "h5"
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


_MAY_LOOK_LIKE: Mapping[Claim, frozenset[Format]] = MappingProxyType(
    {
        Claim.ONNX: frozenset({Format.ONNX}),
        Claim.PICKLE: frozenset({Format.PICKLE}),
        Claim.CLOUDPICKLE: frozenset({Format.PICKLE}),
        Claim.DILL: frozenset({Format.PICKLE}),
        # joblib's files are pickles, unless they are compressed.
        Claim.JOBLIB: frozenset({Format.PICKLE, Format.JOBLIB}),
        Claim.ZIP: frozenset({Format.ZIP, Format.TORCH}),
        Claim.TORCHSCRIPT: frozenset({Format.ZIP, Format.TORCH}),
        Claim.SAVED_MODEL: frozenset({Format.ZIP}),
        Claim.KERAS: frozenset({Format.ZIP, Format.H5}),
        Claim.SAFETENSORS: frozenset({Format.SAFETENSORS}),
        Claim.H5: frozenset({Format.H5}),
        Claim.JSONL: frozenset({Format.JSONL}),
    }
)

_HOLD_PICKLES = frozenset({Format.PICKLE, Format.JOBLIB, Format.TORCH})
_SAFETENSORS_HEADER_BYTES_MAX = 100 * 1024 * 1024
# zlib at its usual levels, the older joblib's own mark, and lzma's and lz4's.
_JOBLIB_MARKS = (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda", b"ZF", b"\xfd7zXZ\x00", b"\x04\x22\x4d\x18")
# Tags of the fields of an ONNX ModelProto that may follow its first, `ir_version`.
_ONNX_SECOND_TAGS = frozenset({0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72})
_ONNX_IR_VERSION_MAX = 64


def sniff(head: bytes) -> Format:
    """The format of an artifact that begins with `head`."""
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return Format.H5
    if head.startswith(b"PK\x03\x04"):
        return Format.TORCH if _is_torch(head) else Format.ZIP
    if _is_pickle(head):
        return Format.PICKLE
    if head.startswith(_JOBLIB_MARKS):
        return Format.JOBLIB
    if _is_safetensors(head):
        return Format.SAFETENSORS
    if _is_onnx(head):
        return Format.ONNX
    return Format.JSONL if _is_jsonl(head) else Format.UNKNOWN


def holds_pickle(head: bytes) -> bool:
    """Whether the artifact is a pickle or carries one, whatever its uploader says that it is.

    What PyTorch writes, TorchScript included, is an archive around a pickle.
    """
    return sniff(head) in _HOLD_PICKLES


def decide_format(head: bytes, *, claim: Claim | None) -> str:
    """The format to record: the claim when the bytes agree with it, else what they look like.

    Raises FormatContradictedError when they do not agree.
    """
    found = sniff(head)
    if claim is None:
        return found.value
    if found not in _MAY_LOOK_LIKE[claim]:
        raise FormatContradictedError(
            f"The artifact was claimed to be {claim}, but its first bytes look {_described(found)}.",
            fix="Upload the right file, or leave `format` out.",
        )
    return claim.value


def _described(found: Format) -> str:
    return "like none of the known formats" if found is Format.UNKNOWN else f"like {found}"


def _is_pickle(head: bytes) -> bool:
    # PROTO and a protocol that has such a mark; protocols 0 and 1 begin like any text.
    return len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5


def _is_torch(head: bytes) -> bool:
    # The archive's first entry: the length of its name is in bytes 26 and 27, the name follows at byte 30.
    return head[30 : 30 + int.from_bytes(head[26:28], "little")].endswith(b"/data.pkl")


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
