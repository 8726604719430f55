"""The outcome of looking at an artifact, and how much work a look may cost."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

FINDINGS_MAX = 20
"""So many reasons are enough: nothing more is looked at then."""

OUTSIDE_MAX = 100

CHECKPOINT, EXTERNAL = "tf-checkpoint", "onnx-external-data"
ACCOMPANYING = frozenset({"text", "json", "jsonl", "xml", "pmml", "empty", "npy", CHECKPOINT, EXTERNAL})
"""Formats of data that lies beside a model and is none itself."""

TEXT_CHARS_MAX = 300
MIB = 1024 * 1024


class TooMuchWorkError(Exception):
    """The artifact would cost more work than a look may cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A part that can run code when it is loaded, or of which that cannot be excluded.

    `path` is the part's place in the artifact, `""` for the artifact itself. `is_pickle`: it is a pickle, holds
    one, or may be one.
    """

    path: str
    why: str
    is_pickle: bool = False

    @classmethod
    def of(cls, path: str, why: str, *, is_pickle: bool = False) -> Self:
        """A finding whose texts are short enough to be kept, and can be written as UTF-8."""
        return cls(path=_cut(path), why=_cut(why), is_pickle=is_pickle)

    def under(self, parent: str) -> "Finding":
        """The same part, seen from the archive or folder in which `parent` is."""
        path = f"{parent}/{self.path}" if self.path else parent
        return Finding.of(path, self.why, is_pickle=self.is_pickle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What an artifact is.

    `format` is its own format, `formats` those of all its parts. `findings` are the parts that can run code; of
    more than `FINDINGS_MAX` the first. `outside` are the files, beside the artifact, that it refers to.
    """

    format: str
    formats: frozenset[str]
    findings: tuple[Finding, ...] = ()
    outside: tuple[str, ...] = ()

    def alone(self) -> Self:
        """The same, of a file that nothing lies beside: what it refers to is not part of the artifact."""
        missing = [
            Finding.of("", f"It reads the file {each!r}, which is not part of the artifact.") for each in self.outside
        ]
        return replace(self, findings=(*self.findings, *missing)[:FINDINGS_MAX], outside=())

    @property
    def executes_code(self) -> bool:
        """Whether loading it can run code of whoever made it, or may do so."""
        return bool(self.findings)

    @property
    def has_pickle(self) -> bool:
        """Whether any part is a pickle, or may be one."""
        return any(finding.is_pickle for finding in self.findings)

    def document(self) -> dict[str, Any]:
        """What is kept on record."""
        return {
            "formats": sorted(self.formats),
            "findings": [{"path": each.path, "why": each.why, "is_pickle": each.is_pickle} for each in self.findings],
            "outside": list(self.outside),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any], *, format_name: str) -> Self:
        """What `document` said, of an artifact of this format."""
        return cls(
            format=format_name,
            formats=frozenset(document["formats"]),
            findings=tuple(Finding(**each) for each in document["findings"]),
            outside=tuple(document["outside"]),
        )


def merged(inspections: Iterable[Inspection], *, format_name: str, findings: Iterable[Finding] = ()) -> Inspection:
    """The inspection of something that consists of these parts, whose findings have been given their paths."""
    parts = list(inspections)
    found = [*findings, *(finding for part in parts for finding in part.findings)]
    return Inspection(
        format=format_name,
        formats=frozenset(name for part in parts for name in part.formats),
        findings=tuple(found[:FINDINGS_MAX]),
        outside=tuple(dict.fromkeys(each for part in parts for each in part.outside))[:OUTSIDE_MAX],
    )


@dataclass(slots=True, kw_only=True)
class Budget:
    """What is left of the work that one look may cost."""

    inflated_bytes: int = 512 * MIB
    """What is inflated of compressed parts, all together."""

    entries: int = 10_000
    steps: int = 5_000_000
    """Single fields of structures, and opcodes of pickles."""

    depth: int = 4
    """Archives in archives."""

    def spend_inflated(self, count: int) -> None:
        """Take so many inflated bytes off. Raises TooMuchWorkError."""
        self.inflated_bytes -= count
        if self.inflated_bytes < 0:
            raise TooMuchWorkError("it inflates to more than is looked at")

    def spend_entry(self) -> None:
        """Take one entry of an archive off. Raises TooMuchWorkError."""
        self.entries -= 1
        if self.entries < 0:
            raise TooMuchWorkError("it has more entries than are looked at")

    def spend_step(self) -> None:
        """Take one step off. Raises TooMuchWorkError."""
        self.steps -= 1
        if self.steps < 0:
            raise TooMuchWorkError("it has more parts than are looked at")


def _cut(text: str) -> str:
    return text[:TEXT_CHARS_MAX].encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
