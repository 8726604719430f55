"""Which bytes of a file a request asks for: all of it, nothing because the caller has it, or one range (RFC 9110)."""

import re
from dataclasses import dataclass

from modelyard_runtime.problems import ProblemError

HEADER_CHARS_MAX = 1_000

_UNIT = "bytes="
_RANGE = re.compile(r"([0-9]{0,18})-([0-9]{0,18})")
_TAG = re.compile(r'(?:W/)?("[^"]*")')


class RangeNotSatisfiableError(ProblemError):
    """The file has no such bytes."""

    code = "range-not-satisfiable"
    status = 416
    when = "The header `Range` asks for bytes beyond the end of the file."
    fix = (
        "Ask for `bytes=<first>-<last>`, counted from 0, `bytes=<first>-` for the rest, or `bytes=-<count>` for the "
        "end; or leave Range out."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """Consecutive bytes of a file, counted from 0; the last one is included."""

    first: int
    last: int

    @property
    def size_bytes(self) -> int:
        """How many bytes these are."""
        return self.last - self.first + 1


def holds_tag(if_none_match: str | None, etag: str) -> bool:
    """Whether `If-None-Match` names this entity tag, or any (`*`): then the caller has the bytes already."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or etag in _TAG.findall(if_none_match)


def decide_range(asked: str | None, *, if_range: str | None, etag: str, size_bytes: int) -> ByteRange | None:
    """The range that `Range` asks for; None when the whole file is to be sent.

    The whole file answers several ranges at once, units other than bytes, and an `If-Range` that names another file.
    Raises RangeNotSatisfiableError for a range that is malformed or lies behind the end.
    """
    if asked is None or (if_range is not None and if_range.strip() != etag):
        return None
    text = asked.strip().lower()
    if not text.startswith(_UNIT) or "," in text:
        return None
    match = _RANGE.fullmatch(text.removeprefix(_UNIT).strip())
    found = _clipped(match[1], match[2], size_bytes=size_bytes) if match else None
    if found is None:
        raise RangeNotSatisfiableError(
            f"Range is {asked[:100]!r}, and the file has {size_bytes} bytes.",
            size_bytes=size_bytes,
        )
    return found


def _clipped(first: str, last: str, *, size_bytes: int) -> ByteRange | None:
    if not first:
        count = min(int(last or "0"), size_bytes)
        return ByteRange(first=size_bytes - count, last=size_bytes - 1) if count else None
    begin = int(first)
    end = min(int(last), size_bytes - 1) if last else size_bytes - 1
    if begin >= size_bytes or (last and int(last) < begin):
        return None
    return ByteRange(first=begin, last=end)
