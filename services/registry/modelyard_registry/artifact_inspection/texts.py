"""Files of text: which kind of text it is, and whether it names code that a reader of it would run."""

import json
import re

from modelyard_registry.artifact_inspection.findings import Finding
from modelyard_registry.artifact_inspection.sources import Source

LOOKED_AT_BYTES = 4 * 1024 * 1024
"""Of longer texts the beginning is judged."""

DATA_SUFFIXES = frozenset(
    {".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".vocab",
     ".merges", ".labels", ".names", ".log", ".html", ".pbtxt", ".xml", ".pmml", ".svg", ".tf", ".bpe"}
)  # fmt: skip
DATA_NAMES = frozenset(
    {"license", "notice", "readme", "mlmodel", "vocab", "merges", "labels", ".gitattributes", "version"}
)
CODE_SUFFIXES = frozenset(
    {".py", ".pyw", ".pyi", ".pyc", ".pyo", ".pyd", ".pyx", ".pth", ".so", ".dll", ".dylib", ".exe", ".sh", ".bash",
     ".bat", ".cmd", ".ps1", ".jar", ".war", ".class", ".ipynb", ".r", ".rdata", ".rds", ".rda", ".jl", ".js", ".mjs",
     ".cjs", ".ts", ".wasm", ".lua", ".pl", ".rb", ".whl", ".egg", ".scala", ".groovy", ".kts", ".c", ".cc", ".cpp",
     ".cu", ".m", ".mlx", ".xsl", ".xslt", ".ptl", ".pt", ".pkl", ".pickle", ".joblib", ".dill", ".mar", ".jinja",
     ".j2", ".service", ".desktop", ".dockerfile", ".deb", ".rpm", ".apk", ".msi", ".com", ".vbs", ".ko", ".o", ".a"}
)  # fmt: skip
"""A file of such a name is code, or what only a program that runs code can read, whatever its bytes are."""

_YAML_TAG = re.compile(r"!!?python|tag:yaml\.org,2002:python|!!?(?:ruby|java|perl|js)\b|^%TAG", re.MULTILINE)
_XML_ENTITIES = re.compile(r"<!\s*(?:DOCTYPE|ENTITY)|<\?xml-stylesheet|<script", re.IGNORECASE)
_CODE_KEYS = frozenset({"auto_map", "_target_", "trust_remote_code", "custom_pipelines", "py_module", "loader_module"})
_LAYERS = frozenset({"Lambda", "__lambda__"})
_MODELS = {
    "lightgbm": re.compile(r"tree\nversion=v\d"),
    "pmml": re.compile(r"(?:<\?xml[^>]*\?>)?\s*(?:<!--.*?-->\s*)*<PMML[\s>]", re.DOTALL),
}


def read_text(source: Source) -> str | None:
    """The beginning of the file as text; None when it is none."""
    content = source.read_at(0, LOOKED_AT_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if source.size <= LOOKED_AT_BYTES or error.start < len(content) - 4:
            return None
        text = content[: error.start].decode("utf-8-sig")
    return None if any(letter in text for letter in "\x00\x01\x02\x03\x04\x05\x06\x0e\x7f") else text


def judge_text(text: str, *, is_whole: bool) -> tuple[str, list[Finding]]:
    """The format of a text, and what of it names code."""
    stripped = text.lstrip()
    if text.startswith("#!"):
        return "executable", [Finding.of("", "It is a script: it begins with `#!`.")]
    if stripped[:1] in ("{", "["):
        kind, findings = _json(text, is_whole=is_whole)
        if kind is not None:
            return kind, findings
    for name, pattern in _MODELS.items():
        if pattern.match(text):
            return name, _xml(text)
    if stripped.startswith("<"):
        return "xml", _xml(text)
    tag = _YAML_TAG.search(text)
    if tag is not None:
        return "text", [Finding.of("", f"It has the YAML tag {tag[0]!r}, which some readers turn into code.")]
    return "text", []


def _json(text: str, *, is_whole: bool) -> tuple[str | None, list[Finding]]:
    try:
        if is_whole:
            value = json.loads(text)
            return "json", _named_code(value)
    except RecursionError:
        return None, [Finding.of("", "It is JSON that nests too deep to be judged.")]
    except ValueError:
        pass
    lines = text.splitlines()
    if not is_whole:
        lines = lines[:-1] or lines
    try:
        values = [json.loads(line) for line in lines if line.strip()]
    except (ValueError, RecursionError):
        return None, []
    if values and all(isinstance(value, dict) for value in values):
        return "jsonl", [finding for value in values[:1_000] for finding in _named_code(value)][:1]
    return None, []


def _named_code(value: object) -> list[Finding]:
    """What in a value of JSON names code to be run, as Keras, Transformers, Hydra and MLflow have it."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            named = _CODE_KEYS & each.keys()
            if named:
                return [Finding.of("", f"Its {sorted(named)[0]!r} names code that is run when it is loaded.")]
            if each.get("class_name") in _LAYERS:
                return [Finding.of("", "It describes a Keras layer of Python code (Lambda).")]
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
    return []


def _xml(text: str) -> list[Finding]:
    found = _XML_ENTITIES.search(text)
    return [] if found is None else [Finding.of("", f"It has {found[0]!r}, which makes a reader load something.")]
