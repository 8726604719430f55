"""Whether bytes are an ONNX model, and what it needs beside itself: files with data, libraries with operators."""

import re
from dataclasses import dataclass, field

from modelyard_registry.artifact_inspection.findings import Budget, Finding
from modelyard_registry.artifact_inspection.protobuf import (
    BYTES,
    VARINT,
    Field,
    NotProtobufError,
    fields,
    message,
    text,
)
from modelyard_registry.artifact_inspection.sources import Source

KNOWN_DOMAINS = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training", "com.microsoft"}
)
"""Operators of these domains are part of the runtimes; others come from libraries that are loaded for the model."""

CODE_OPERATORS = frozenset({"PyOp", "PythonOp", "PythonOpGrad", "PyCustomOp"})
OTHERS_MAX = 10

_MODEL_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
_IR_VERSION, _GRAPH, _OPSET, _TRAINING, _FUNCTIONS = 1, 7, 8, 20, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_OP_TYPE, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = frozenset({5, 10}), frozenset({6, 11}), frozenset({22, 23})
_TENSOR_EXTERNAL = 13
_FUNCTION_NODE, _FUNCTION_DOMAIN, _FUNCTION_OPSET, _FUNCTION_ATTRIBUTE = 7, 10, 9, 11
_GRAPHS_DEEP_MAX = 32
_SCALARS = re.compile(rb"(?:\x40[\x80-\xff]{0,9}[\x00-\x7f]|\x3d[\s\S]{4})++")


@dataclass(slots=True, kw_only=True)
class OnnxModel:
    """What an ONNX model refers to."""

    domains: set[str] = field(default_factory=set)
    own_domains: set[str] = field(default_factory=set)
    code_operators: set[str] = field(default_factory=set)
    locations: set[str] = field(default_factory=set)
    graphs: int = 0

    @property
    def findings(self) -> list[Finding]:
        """What of it can run code that is not in the runtimes, or leads to files elsewhere."""
        others = sorted(self.domains - KNOWN_DOMAINS - self.own_domains)[:OTHERS_MAX]
        found = [Finding.of("", f"ONNX operators of the domain {name!r} come from a library.") for name in others]
        found += [Finding.of("", f"The ONNX operator {name!r} runs Python.") for name in sorted(self.code_operators)]
        unsafe = sorted(location for location in self.locations if _leads_elsewhere(location))[:OTHERS_MAX]
        return found + [
            Finding.of("", f"The ONNX model reads the file {name!r}, outside its own folder.") for name in unsafe
        ]


def read_onnx(source: Source, *, budget: Budget) -> OnnxModel:
    """The model. Raises NotProtobufError when the bytes are none, TooMuchWorkError when it is too large to be told."""
    model = OnnxModel()
    has_version = False
    for each in fields(source, budget=budget):
        if each.number not in _MODEL_FIELDS:
            raise NotProtobufError("a field that no model has")
        if each.number == _IR_VERSION:
            has_version = each.wire == VARINT
        elif each.number == _GRAPH:
            model.graphs += 1
            _graph(message(source, each), model, budget=budget, deep=0)
        elif each.number == _OPSET:
            _opset(message(source, each), model, budget=budget)
        elif each.number == _FUNCTIONS:
            _function(message(source, each), model, budget=budget)
        elif each.number == _TRAINING:
            _training(message(source, each), model, budget=budget)
    if not has_version or model.graphs != 1:
        raise NotProtobufError("no version, or not one graph")
    return model


def _training(source: Source, model: OnnxModel, *, budget: Budget) -> None:
    for each in fields(source, budget=budget):
        if each.number in (1, 2):
            _graph(message(source, each), model, budget=budget, deep=0)


def _opset(source: Source, model: OnnxModel, *, budget: Budget) -> None:
    for each in fields(source, budget=budget):
        if each.number == 1:
            model.domains.add(text(source, each))


def _function(source: Source, model: OnnxModel, *, budget: Budget) -> None:
    for each in fields(source, budget=budget):
        if each.number == _FUNCTION_NODE:
            _node(message(source, each), model, budget=budget, deep=0)
        elif each.number == _FUNCTION_DOMAIN:
            model.own_domains.add(text(source, each))
        elif each.number == _FUNCTION_OPSET:
            _opset(message(source, each), model, budget=budget)
        elif each.number == _FUNCTION_ATTRIBUTE and each.wire == BYTES:
            _attribute(message(source, each), model, budget=budget, deep=0)


def _graph(source: Source, model: OnnxModel, *, budget: Budget, deep: int) -> None:
    if deep > _GRAPHS_DEEP_MAX:
        raise NotProtobufError("graphs in graphs without end")
    for each in fields(source, budget=budget):
        if each.number == _GRAPH_NODE:
            _node(message(source, each), model, budget=budget, deep=deep)
        elif each.number == _GRAPH_INITIALIZER:
            _tensor(message(source, each), model, budget=budget)
        elif each.number == _GRAPH_SPARSE:
            _sparse(message(source, each), model, budget=budget)


def _node(source: Source, model: OnnxModel, *, budget: Budget, deep: int) -> None:
    for each in fields(source, budget=budget):
        if each.number == _NODE_OP_TYPE:
            operator = text(source, each)
            if operator in CODE_OPERATORS:
                model.code_operators.add(operator)
        elif each.number == _NODE_DOMAIN:
            model.domains.add(text(source, each))
        elif each.number == _NODE_ATTRIBUTE:
            _attribute(message(source, each), model, budget=budget, deep=deep)


def _attribute(source: Source, model: OnnxModel, *, budget: Budget, deep: int) -> None:
    for each in fields(source, budget=budget, runs=_SCALARS):
        if each.number in _ATTRIBUTE_TENSORS:
            _tensor(message(source, each), model, budget=budget)
        elif each.number in _ATTRIBUTE_SPARSE:
            _sparse(message(source, each), model, budget=budget)
        elif each.number in _ATTRIBUTE_GRAPHS:
            _graph(message(source, each), model, budget=budget, deep=deep + 1)


def _sparse(source: Source, model: OnnxModel, *, budget: Budget) -> None:
    for each in fields(source, budget=budget):
        if each.number in (1, 2):
            _tensor(message(source, each), model, budget=budget)


def _tensor(source: Source, model: OnnxModel, *, budget: Budget) -> None:
    for each in fields(source, budget=budget):
        if each.number == _TENSOR_EXTERNAL:
            _external(source, each, model, budget=budget)


def _external(tensor: Source, entry: Field, model: OnnxModel, *, budget: Budget) -> None:
    source = message(tensor, entry)
    said = {each.number: text(source, each) for each in fields(source, budget=budget) if each.number in (1, 2)}
    if said.get(1) == "location":
        model.locations.add(said.get(2, ""))


def _leads_elsewhere(location: str) -> bool:
    parts = location.replace("\\", "/").split("/")
    return location == "" or parts[0] == "" or ".." in parts or ":" in parts[0]
