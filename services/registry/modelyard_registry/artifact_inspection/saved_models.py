"""Whether bytes are a TensorFlow SavedModel's graph, and whether it calls Python or reads and writes files."""

import re

from modelyard_registry.artifact_inspection.findings import Budget, Finding
from modelyard_registry.artifact_inspection.protobuf import VARINT, NotProtobufError, fields, message, text
from modelyard_registry.artifact_inspection.sources import Source

CODE_OPERATORS = frozenset(
    {"PyFunc", "PyFuncStateless", "EagerPyFunc", "NumpyFunction", "ReadFile", "WriteFile", "MatchingFiles",
     "PrintV2", "Save", "SaveSlices", "LoadLibrary", "WholeFileReader", "WholeFileReaderV2", "PythonFunction"}
)  # fmt: skip
"""Operators that call Python, or read and write files of the server that loads the graph."""

SCANNED_BYTES_MAX = 64 * 1024 * 1024
OPERATORS_TOLD_MAX = 10
_ESCAPED = re.compile(rb"\\u00([0-7][0-9a-fA-F])")
_LAMBDAS = re.compile(rb'"\s*(?:Lambda|__lambda__|function_type)\s*"|lambda_function|\bmarshal\b')
_META_GRAPHS, _GRAPH_DEF, _NODE, _LIBRARY, _FUNCTION, _FUNCTION_NODE, _OP = 2, 2, 1, 2, 1, 3, 2


def read_saved_model(source: Source, *, budget: Budget) -> list[Finding]:
    """What of the graph can run code. Raises NotProtobufError when it is none, or TooMuchWorkError."""
    operators: set[str] = set()
    graphs = 0
    for each in fields(source, budget=budget):
        if each.number == 1 and each.wire == VARINT:
            continue
        if each.number != _META_GRAPHS:
            raise NotProtobufError("a field that no SavedModel has")
        meta_graph = message(source, each)
        for part in fields(meta_graph, budget=budget):
            if part.number == _GRAPH_DEF:
                graphs += 1
                _graph(message(meta_graph, part), operators, budget=budget)
    if not graphs:
        raise NotProtobufError("no graph")
    found = [
        Finding.of("", f"The TensorFlow operator {name!r} calls Python, or reads or writes files.")
        for name in sorted(operators & CODE_OPERATORS)
    ]
    custom = sorted(name for name in operators if ">" in name)[:OPERATORS_TOLD_MAX]
    found += [Finding.of("", f"The TensorFlow operator {name!r} comes from a library.") for name in custom]
    return found + find_lambdas(source)


def find_lambdas(source: Source) -> list[Finding]:
    """A finding when what Keras keeps with the graph has a layer of Python code."""
    if source.size > SCANNED_BYTES_MAX:
        return [Finding.of("", "It is too large to be searched for Keras layers of Python code.")]
    content = _ESCAPED.sub(lambda escaped: bytes([int(escaped[1], 16)]), source.read_at(0, source.size))
    if _LAMBDAS.search(content):
        return [Finding.of("", "It holds a Keras layer of Python code (Lambda).")]
    return []


def _graph(source: Source, operators: set[str], *, budget: Budget) -> None:
    for each in fields(source, budget=budget):
        if each.number == _NODE:
            _node(message(source, each), operators, budget=budget)
        elif each.number == _LIBRARY:
            library = message(source, each)
            for function in fields(library, budget=budget):
                if function.number == _FUNCTION:
                    _function(message(library, function), operators, budget=budget)


def _function(source: Source, operators: set[str], *, budget: Budget) -> None:
    for each in fields(source, budget=budget):
        if each.number == _FUNCTION_NODE:
            _node(message(source, each), operators, budget=budget)


def _node(source: Source, operators: set[str], *, budget: Budget) -> None:
    for each in fields(source, budget=budget):
        if each.number == _OP:
            operators.add(text(source, each))
