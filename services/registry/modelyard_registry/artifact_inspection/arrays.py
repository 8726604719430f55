"""Arrays and tensors in files: NumPy's, whose objects are pickles, and safetensors, which hold numbers only."""

import ast
import json
import math
from itertools import pairwise
from typing import Any

from modelyard_registry.artifact_inspection.sources import Source

NPY_MARK = b"\x93NUMPY"
NPY_HEADER_BYTES_MAX = 64 * 1024
SAFETENSORS_HEADER_BYTES_MAX = 16 * 1024 * 1024

_BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I64": 64, "I32": 32,
    "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8, "C64": 64,
}  # fmt: skip


class NotAnArrayError(ValueError):
    """The bytes are no array of the format that they begin like."""


def holds_objects(source: Source) -> bool:
    """Whether an `.npy` file holds Python objects, which NumPy pickles. Raises NotAnArrayError."""
    head = source.read_at(0, 12)
    length_bytes = 2 if head[6:7] == b"\x01" else 4
    header_bytes = int.from_bytes(head[8 : 8 + length_bytes], "little")
    if not 0 < header_bytes <= NPY_HEADER_BYTES_MAX:
        raise NotAnArrayError("a header of no usual length")
    try:
        header = ast.literal_eval(source.read_at(8 + length_bytes, header_bytes).decode("utf-8").strip())
        descriptions, shape = header["descr"], header["shape"]
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise NotAnArrayError("a header that is not NumPy's") from error
    if _has_objects(descriptions, deep=0):
        return True
    if not isinstance(shape, tuple) or not all(type(each) is int and each >= 0 for each in shape):
        raise NotAnArrayError("a shape that is none")
    return False


def _has_objects(description: Any, *, deep: int) -> bool:
    if isinstance(description, str):
        return "O" in description or ("|V" not in description and not _is_plain(description))
    if isinstance(description, list | tuple) and deep < 20:
        return any(_has_objects(each[1] if len(each) > 1 else "O", deep=deep + 1) for each in description)
    return True


def _is_plain(description: str) -> bool:
    return description[:1] in "<>|=" and description[1:2] in tuple("biufcSUmMaV?")


def is_safetensors(source: Source) -> bool:
    """Whether it is what the safetensors format says, to the last byte: a header, and tensors without gaps."""
    header_bytes = int.from_bytes(source.read_at(0, 8), "little")
    if not 2 <= header_bytes <= min(source.size - 8, SAFETENSORS_HEADER_BYTES_MAX):
        return False
    try:
        header = json.loads(source.read_at(8, header_bytes).decode("utf-8"))
        tensors = {name: each for name, each in header.items() if name != "__metadata__"}
        extents = sorted(_extent(tensor) for tensor in tensors.values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False
    ends = [(0, 0), *extents]
    return all(one[1] == other[0] for one, other in pairwise(ends)) and ends[-1][1] == source.size - 8 - header_bytes


def _extent(tensor: dict[str, Any]) -> tuple[int, int]:
    start, end = tensor["data_offsets"]
    shape = tensor["shape"]
    if not all(type(each) is int and each >= 0 for each in (start, end, *shape)):
        raise ValueError("not counts")
    if (end - start) * 8 != math.prod(shape) * _BITS[tensor["dtype"]]:
        raise ValueError("not as many bytes as the shape says")
    return start, end
