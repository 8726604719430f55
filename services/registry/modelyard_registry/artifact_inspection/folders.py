"""Files together, in a folder or an archive: a file's name and its neighbours tell what its bytes do not."""

import posixpath
import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from modelyard_registry.artifact_inspection.findings import (
    ACCOMPANYING,
    CHECKPOINT,
    EXTERNAL,
    Finding,
    Inspection,
    merged,
)
from modelyard_registry.artifact_inspection.texts import CODE_SUFFIXES, DATA_NAMES, DATA_SUFFIXES

TEXT, SCRIPT, UNKNOWN = "text", "script", "unknown"
SAVED_MODEL, FOLDER = "saved-model", "folder"

_VARIABLES = re.compile(r"(?:.*/)?variables/variables\.(?:index|data-\d{5}-of-\d{5})")
_FINGERPRINT = re.compile(r"(?:.*/)?(?:fingerprint|keras_metadata)\.pb")
_GRAPH = "saved_model.pb"


def judged_by_name(path: str, inspection: Inspection) -> Inspection:
    """The inspection of a file that has this path: a name can make code of a text, never data of what may be code."""
    name = posixpath.basename(path.replace("\\", "/")).lower()
    suffix = posixpath.splitext(name)[1]
    if suffix in CODE_SUFFIXES or name in ("dockerfile", "makefile", "modelfile"):
        finding = Finding.of("", f"A file named {name[:60]!r} is code, or is read by what runs code.", is_pickle=False)
        return replace(inspection, findings=(*inspection.findings, finding))
    if inspection.format == TEXT and suffix not in DATA_SUFFIXES and name not in DATA_NAMES:
        return replace(inspection, format=SCRIPT, formats=inspection.formats - {TEXT} | {SCRIPT})
    return inspection


def decide_together(parts: Mapping[str, Inspection], *, archive: str = FOLDER) -> tuple[str, Inspection]:
    """The format of files that lie together, and what was found of them all; `parts` are judged by their names."""
    kind = _kind_of(parts, archive=archive)
    # What a file's place depends on is gathered once: looking at all others for each would be quadratic.
    graphs = {posixpath.dirname(path) for path, part in parts.items() if _is_graph(path, part)}
    outside = {each for path, part in parts.items() for each in _external_of(path, part)}
    placed = {path: _placed(path, part, graphs=graphs) for path, part in parts.items()}
    placed = {path: _with_external(path, part, outside=outside) for path, part in placed.items()}
    named = [
        replace(part, findings=tuple(finding.under(path) for finding in part.findings)) for path, part in placed.items()
    ]
    findings = [*_about_external(parts), *_about_kind(kind)]
    return kind, replace(merged(named, format_name=kind, findings=findings), outside=())


def _kind_of(parts: Mapping[str, Inspection], *, archive: str) -> str:
    names = {posixpath.basename(path) for path in parts}
    graphs = [path for path, part in parts.items() if posixpath.basename(path) == _GRAPH and part.format == SAVED_MODEL]
    if archive == FOLDER:
        if _GRAPH in graphs:
            return SAVED_MODEL
        found = {part.format for part in parts.values()} - ACCOMPANYING - {UNKNOWN, SCRIPT}
        return found.pop() if len(found) == 1 else FOLDER
    if archive == "zip":
        if {"data.pkl", "constants.pkl"} & names:
            return "torch"
        if len(graphs) == 1 and graphs[0].count("/") <= 1:
            return SAVED_MODEL
        if {"config.json", "model.weights.h5"} <= names:
            return "keras"
        if any(path.endswith("MAR-INF/MANIFEST.json") for path in parts):
            return "mar"
        if parts and all(path.endswith(".npy") for path in parts):
            return "npz"
    return archive


def _is_graph(path: str, part: Inspection) -> bool:
    return part.format == SAVED_MODEL and posixpath.basename(path) == _GRAPH


def _placed(path: str, part: Inspection, *, graphs: Collection[str]) -> Inspection:
    """A file that means nothing by itself, in its place in a SavedModel; `graphs` are the folders of these."""
    if part.format != UNKNOWN or not (_VARIABLES.fullmatch(path) or _FINGERPRINT.fullmatch(path)):
        return part
    # The variables lie in a folder beside the graph, the fingerprint lies beside it.
    folder = posixpath.dirname(path)
    if folder in graphs or posixpath.dirname(folder) in graphs:
        return replace(part, format=CHECKPOINT, formats=part.formats - {UNKNOWN} | {CHECKPOINT})
    return part


def _with_external(path: str, part: Inspection, *, outside: Collection[str]) -> Inspection:
    """A file of numbers to which an ONNX model beside it refers; `outside` is what all of these refer to."""
    if part.format == UNKNOWN and path in outside:
        return replace(part, format=EXTERNAL, formats=part.formats - {UNKNOWN} | {EXTERNAL})
    return part


def _about_external(parts: Mapping[str, Inspection]) -> list[Finding]:
    return [
        Finding.of(path, f"The ONNX model reads the file {missing[:100]!r}, which is not part of the artifact.")
        for path, part in parts.items()
        for missing in sorted(_external_of(path, part))
        if missing not in parts
    ]


def _external_of(path: str, part: Inspection) -> frozenset[str]:
    folder = posixpath.dirname(path)
    return frozenset(posixpath.normpath(posixpath.join(folder, each)) for each in part.outside)


def _about_kind(kind: str) -> list[Finding]:
    match kind:
        case "torch":
            return [Finding.of("", "PyTorch keeps a pickle in its archives.", is_pickle=True)]
        case "keras":
            return [Finding.of("", "A Keras archive can hold layers of Python code.")]
        case "mar":
            return [Finding.of("", "A TorchServe archive holds a handler in Python.")]
        case _:
            return []
