"""Whether bytes are a pickle of any protocol: the opcodes are walked, nothing is executed.

Only protocols 2 and up begin with a mark. Older ones begin like any text, so each file is walked from its first
byte as `pickle.load` would: a walk that meets an opcode that can import something by a name, or that ends with
the file, is one of a pickle.
"""

import pickletools
from collections.abc import Callable

from modelyard_registry.artifact_inspection.findings import Budget
from modelyard_registry.artifact_inspection.sources import Source

OPCODES_MAX = 200_000
"""What is a valid walk for so long is a pickle, whatever may follow."""

LINE_BYTES_MAX = 64 * 1024
PROTOCOL_MAX = 16
"""Protocols that will be, too."""

_CODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
_IMPORT_BY_NAME = frozenset({b"c", b"i"})
_IMPORT_FROM_STACK = b"\x93"
_PUSH_NAMES = frozenset({b"S", b"T", b"U", b"V", b"X", b"\x8c", b"\x8d", b"g", b"h", b"j"})
_LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_TWO_LINES = frozenset({"stringnl_noescape_pair"})
_NUMBERS: dict[str, Callable[[str], object]] = {"I": int, "L": lambda text: int(text.removesuffix("L")), "F": float}
_DIGITS_MAX = 4_000


def is_marked_pickle(head: bytes) -> bool:
    """Whether it begins with the mark of protocol 2 or a later one."""
    return len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= PROTOCOL_MAX


def looks_like_pickle(source: Source, *, budget: Budget) -> bool:
    """Whether it is a pickle, or could execute anything when it is loaded as one. Raises TooMuchWorkError."""
    if is_marked_pickle(source.read_at(0, 2)):
        return True
    offset = names = 0
    for _ in range(OPCODES_MAX):
        if offset == source.size:
            return offset > 0 and source.read_at(offset - 1, 1) == b"."
        budget.spend_step()
        code = source.read_at(offset, 1)
        if code == _IMPORT_FROM_STACK:
            return names > 1
        names += code in _PUSH_NAMES
        following = _after_opcode(source, offset, code=code)
        if following is None:
            return False
        if following < 0:
            return True
        offset = following
    return True


def _after_opcode(source: Source, offset: int, *, code: bytes) -> int | None:
    """Where the next opcode begins; None when this is none, -1 when it imports something."""
    opcode = _CODES.get(code)
    if opcode is None:
        return None
    start = offset + 1
    if opcode.arg is None:
        return start
    if opcode.arg.n == pickletools.UP_TO_NEWLINE:
        return _after_lines(source, start, code=code, argument=opcode.arg.name)
    length_bytes = _LENGTH_BYTES.get(opcode.arg.n)
    if length_bytes is None:
        end = start + opcode.arg.n
    else:
        end = start + length_bytes + int.from_bytes(source.read_at(start, length_bytes), "little")
    return end if end <= source.size else None


def _after_lines(source: Source, start: int, *, code: bytes, argument: str) -> int | None:
    lines = []
    for _ in range(2 if argument in _TWO_LINES else 1):
        line, newline, _ = source.read_at(start, LINE_BYTES_MAX).partition(b"\n")
        if not newline:
            # A line longer than any that is looked at may belong to a text, or be the padding of a pickle.
            return None if len(line) < LINE_BYTES_MAX else -1
        lines.append(line)
        start += len(line) + 1
    if code in _IMPORT_BY_NAME:
        return -1 if _is_importable(lines[0]) else None
    return start if _is_valid(code.decode("latin-1"), lines[0]) else None


def _is_importable(module: bytes) -> bool:
    try:
        return all(part.isidentifier() for part in module.decode().strip("\r").split("."))
    except UnicodeDecodeError:
        return False


def _is_valid(code: str, line: bytes) -> bool:
    if code == "S":
        return len(line) > 1 and line[:1] in (b"'", b'"') and line.rstrip(b"\r")[-1:] == line[:1]
    read = _NUMBERS.get(code)
    if read is None:
        return True
    try:
        read(line.decode("ascii").strip())
    except (ValueError, UnicodeDecodeError):
        return len(line) > _DIGITS_MAX
    return True
