"""Which format a file has, told from its first bytes."""

import json
from enum import StrEnum

from modelyard_registry.artifact_inspection.pickles import is_marked_pickle


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
