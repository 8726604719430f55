"""One file, or one entry of an archive: what it is, and whether loading it can run code."""

import lzma
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable

from modelyard_registry.artifact_inspection.archives import (
    HELD_BYTES,
    ArchiveEntry,
    has_zip_at_end,
    inflate,
    name_fault,
    tar_entries,
    zip_entries,
)
from modelyard_registry.artifact_inspection.arrays import NotAnArrayError, holds_objects, is_safetensors
from modelyard_registry.artifact_inspection.findings import (
    FINDINGS_MAX,
    Budget,
    Finding,
    Inspection,
    TooMuchWorkError,
    merged,
)
from modelyard_registry.artifact_inspection.folders import decide_together, judged_by_name
from modelyard_registry.artifact_inspection.formats import Format, sniff
from modelyard_registry.artifact_inspection.onnx_models import read_onnx
from modelyard_registry.artifact_inspection.pickles import looks_like_pickle
from modelyard_registry.artifact_inspection.protobuf import NotProtobufError
from modelyard_registry.artifact_inspection.saved_models import read_saved_model
from modelyard_registry.artifact_inspection.sources import Source
from modelyard_registry.artifact_inspection.texts import LOOKED_AT_BYTES, judge_text, read_text

HEAD_BYTES = 4_096
EMPTY = "empty"

_DAMAGED = (
    ValueError, ArithmeticError, LookupError, EOFError, OSError, RuntimeError, TypeError, struct.error,
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError,
)  # fmt: skip
"""What readers raise for bytes that were made to confuse them."""

_CODE_FORMATS = {
    Format.H5: "HDF5 can hold Keras layers of Python code.",
    Format.EXECUTABLE: "It is a program, a library or a script.",
    Format.JAVA: "It is Java's code, or objects that Java would build.",
    Format.RDS: "R runs code that is in its serialized objects when they are used.",
}


def inspect(source: Source, *, budget: Budget) -> Inspection:
    """What the bytes are. Never raises for what they hold: what cannot be judged has a finding that says so."""
    try:
        return _inspect(source, budget=budget)
    except TooMuchWorkError as error:
        why = f"It cannot be judged: {error}."
    except _DAMAGED as error:
        why = f"It is damaged, or made to confuse readers ({type(error).__name__})."
    found = sniff(source.read_at(0, HEAD_BYTES)).value
    return Inspection(format=found, formats=frozenset({found}), findings=(Finding.of("", why, is_pickle=True),))


def _inspect(source: Source, *, budget: Budget) -> Inspection:
    if source.size == 0:
        return Inspection(format=EMPTY, formats=frozenset({EMPTY}))
    found = sniff(source.read_at(0, HEAD_BYTES))
    inspection = _of_kind(found, source, budget=budget)
    extra = []
    if inspection.format != Format.PICKLE and looks_like_pickle(source, budget=budget):
        if inspection.format in (Format.UNKNOWN, "text"):
            return _pickle()
        extra.append(Finding.of("", f"It is a pickle as well as {inspection.format}.", is_pickle=True))
    if found is not Format.ZIP and inspection.format != Format.TAR and has_zip_at_end(source):
        extra.append(Finding.of("", f"It is a zip archive as well as {inspection.format}.", is_pickle=True))
    return merged([inspection], format_name=inspection.format, findings=extra) if extra else inspection


def _of_kind(found: Format, source: Source, *, budget: Budget) -> Inspection:
    match found:
        case Format.PICKLE:
            return _pickle()
        case Format.JOBLIB:
            return _simple("joblib", [Finding.of("", "It is a pickle that joblib compressed.", is_pickle=True)])
        case Format.ZIP:
            return _archive("zip", zip_entries, source, budget=budget)
        case Format.TAR:
            return _archive("tar", tar_entries, source, budget=budget)
        case Format.GZIP | Format.BZIP2 | Format.XZ | Format.ZLIB | Format.ZSTD | Format.LZ4:
            return _compressed(found, source, budget=budget)
        case Format.NPY:
            return _npy(source)
        case Format.SAFETENSORS if is_safetensors(source):
            return _simple("safetensors")
        case Format.ONNX:
            return _graph(source, budget=budget)
        case Format.SAFETENSORS | Format.JSONL | Format.UNKNOWN:
            return _text(source)
        case _:
            why = _CODE_FORMATS.get(found)
            return _simple(found.value, [] if why is None else [Finding.of("", why)])


def _simple(name: str, findings: Iterable[Finding] = ()) -> Inspection:
    return Inspection(format=name, formats=frozenset({name}), findings=tuple(findings))


def _pickle() -> Inspection:
    return _simple("pickle", [Finding.of("", "It is a pickle.", is_pickle=True)])


def _text(source: Source) -> Inspection:
    text = read_text(source)
    if text is None:
        return _simple(Format.UNKNOWN.value)
    kind, findings = judge_text(text, is_whole=source.size <= LOOKED_AT_BYTES)
    return _simple(kind, findings)


def _npy(source: Source) -> Inspection:
    try:
        has_objects = holds_objects(source)
    except NotAnArrayError:
        return _simple("npy", [Finding.of("", "It begins like a NumPy array and is none.", is_pickle=True)])
    return _simple("npy", [Finding.of("", "NumPy pickles the objects of this array.", is_pickle=True)][:has_objects])


def _graph(source: Source, *, budget: Budget) -> Inspection:
    """A SavedModel's graph begins as an ONNX model does: the fields tell which it is."""
    try:
        model = read_onnx(source, budget=budget)
    except NotProtobufError:
        pass
    else:
        return Inspection(
            format="onnx",
            formats=frozenset({"onnx"}),
            findings=tuple(model.findings[:FINDINGS_MAX]),
            outside=tuple(sorted(model.locations)),
        )
    try:
        return _simple("saved-model", read_saved_model(source, budget=budget))
    except NotProtobufError:
        return _text(source)


def _compressed(found: Format, source: Source, *, budget: Budget) -> Inspection:
    if budget.depth <= 0:
        raise TooMuchWorkError("archives lie in archives too deep")
    if found in (Format.ZSTD, Format.LZ4):
        return _simple(
            found.value, [Finding.of("", f"Nobody looks into what is compressed as {found}.", is_pickle=True)]
        )
    with tempfile.SpooledTemporaryFile(max_size=HELD_BYTES) as kept:
        try:
            inner = inflate(source, kept, format_=found, budget=budget)
        except _DAMAGED:
            if found is Format.ZLIB:  # Two bytes are a weak mark: other files begin so, too.
                return _text(source)
            raise
        budget.depth -= 1
        inspection = inspect(inner, budget=budget)
        budget.depth += 1
    name = "joblib" if inspection.format in ("pickle", "joblib") else inspection.format
    if name == Format.RDS:
        return inspection
    if name != "joblib":
        name = found.value
    return Inspection(
        format=name,
        formats=inspection.formats | {name},
        findings=inspection.findings,
        outside=inspection.outside,
    )


def _archive(
    name: str, entries: Callable[..., Iterable[ArchiveEntry]], source: Source, *, budget: Budget
) -> Inspection:
    if budget.depth <= 0:
        raise TooMuchWorkError("archives lie in archives too deep")
    budget.depth -= 1
    parts: dict[str, Inspection] = {}
    findings: list[Finding] = []
    found_in_parts = 0
    for entry in entries(source, budget=budget):
        fault = name_fault(entry.path) if entry.source is not None else None
        if fault is not None:
            findings.append(fault)
        if entry.source is None:
            findings.append(Finding.of(entry.path, entry.why or "It cannot be looked at.", is_pickle=True))
        else:
            parts[entry.path] = judged_by_name(entry.path, inspect(entry.source, budget=budget))
            found_in_parts += len(parts[entry.path].findings)
        if len(findings) + found_in_parts >= FINDINGS_MAX:
            findings.append(Finding.of("", "There may be more: the rest was not looked at."))
            break
    budget.depth += 1
    kind, together = decide_together(parts, archive=name)
    found = [*findings, *together.findings]
    return Inspection(
        format=kind,
        formats=together.formats | {kind},
        findings=tuple(found[:FINDINGS_MAX]),
        outside=together.outside,
    )
