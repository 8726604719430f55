"""Prediction requests are read exactly: nothing is dropped or converted, and contradictions are refused."""

import contextlib
import json
import time
from typing import Any

import pytest
from modelyard_events.inferences import RequestedOutput
from modelyard_events.values import Datatype, Tensor
from modelyard_router.domain.features import refuse_undeclared
from modelyard_router.domain.json_body import DuplicateMemberError, json_in
from modelyard_router.domain.open_inference import OpenInferenceV2
from modelyard_router.domain.prediction_request import prediction_request_of, requested
from modelyard_router.operations.json_request import json_of
from modelyard_runtime.problems import InvalidRequestError, ProblemError

TENSOR: dict[str, Any] = {"name": "income", "datatype": "FP32", "shape": [1, 1], "data": [1.0]}
DECLARED: dict[str, frozenset[Datatype]] = {"income": frozenset({"FP32"}), "grade": frozenset({"BYTES"})}


def a_request(**members: Any) -> dict[str, Any]:
    return {"inputs": [TENSOR], "parameters": {"model_type": "risk-scoring"}, **members}


@pytest.mark.parametrize(
    ("change", "names", "fix"),
    [
        ({"instances": [[1.0]]}, "instances", "`inputs`"),
        ({"tenant": "acme"}, "tenant", "`parameters`"),
        ({"inputs": [{**TENSOR, "colour": 1}]}, "colour", "datatype"),
        ({"inputs": 0}, "inputs", "list"),
        ({"inputs": ""}, "inputs", "list"),
        ({"parameters": ""}, "attributes", "object"),
        ({"parameters": False}, "attributes", "object"),
        ({"outputs": {"name": "rate"}}, "outputs", "list"),
        ({"outputs": ["rate"]}, "outputs.0", "name"),
        ({"outputs": [{"name": 7}]}, "outputs.0.name", "name"),
        ({"outputs": [{"name": "rate"}, {"name": "rate"}]}, "twice", "once"),
        ({"outputs": [{"name": "rate", "shape": [1]}]}, "shape", "name"),
        ({"outputs": [{"name": "rate", "parameters": {"binary_data": True}}]}, "binary_data", "data"),
        ({"inputs": [{**TENSOR, "parameters": {"a": [1]}}]}, "inputs.0.parameters.a", "string"),
        ({"id": ["x" * 1_000_000]}, "id", "string"),
    ],
)
def test_a_member_that_is_not_understood_is_refused_by_name(change: dict[str, Any], names: str, fix: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        prediction_request_of(a_request(**change))

    assert names in refused.value.detail
    assert fix in refused.value.fix
    assert len(refused.value.detail) < 1_000


@pytest.mark.parametrize(
    ("name", "value", "detail", "fix"),
    [
        ("unit_id", 42, "42, a number", '"42"'),
        ("tenant", 42, "42, a number", '"42"'),
        ("tenant", "Zoë", '"ë" is not taken', "a to z"),
        ("alias", "a b", '" " is not taken', "a to z"),
        ("unit_id", "x" * 201, "xxx…", "200"),
        ("entity_id", "..", '".."', "another"),
        ("version", "1.5٣.0", '"1.5٣.0"', '"1.2.0"'),
        ("unit_id", {"a": 1}, "an object of 1 members", "string"),
    ],
)
def test_a_refused_attribute_shows_what_came_and_says_what_to_send(
    name: str, value: Any, detail: str, fix: str
) -> None:
    attributes = {"model": "everyone", "entity_type": "loan", "entity_id": "1", name: value}
    with pytest.raises(InvalidRequestError) as refused:
        prediction_request_of({"parameters": attributes})

    assert f"`{name}`" in refused.value.detail
    assert detail in refused.value.detail
    assert fix in refused.value.fix


@pytest.mark.parametrize("written", ["next", "@next"])
def test_an_alias_is_taken_with_and_without_its_sign(written: str) -> None:
    asked = prediction_request_of({"parameters": {"model": "everyone", "alias": written}})

    assert asked.attributes.request.alias == "next"


@pytest.mark.parametrize(
    "body",
    [
        b'{"model_type":"a","model_type":"a"}',
        b'{"model_type" : "a", "x:y": 1, "model_type"\n:"b"}',
        b'{"model_type":"a","\\u006dodel_type":"b"}',
        b'{"inputs":[{"name":"x","data":[1],"data":[2]}]}',
        b'{"inputs":[{"name":"x:y","parameters":{"a":1,"a":1}}]}',
        b'{"a":{"b":[[{"c":[{"d":1,"d":2}]}]]}}',
        b'{"inputs":[{},{}],"inputs":[]}',
        b'[{"a":{"b":1}},{"a":1,"a":1}]',
        b'{"a\\"b":1,"a\\"b":2}',
        b'{"":1,"":2}',
    ],
)
def test_a_member_twice_is_refused_at_every_depth(body: bytes) -> None:
    with pytest.raises(DuplicateMemberError, match="twice"):
        json_in(body)
    with pytest.raises(ProblemError) as refused:
        json_of(body)
    assert refused.value.status == 422


@pytest.mark.parametrize(
    "body",
    [
        b'{"unit_id":"a:b:c","x":"\\":"}',
        b'{"a":{"b":1},"b":{"a":[{"a":1},{"a":1}]}}',
        b'["a:", {"\\\\":1, "\\\\\\\\":2}]',
        b'{"a":"{\\"b\\":1,\\"b\\":2}"}',
    ],
)
def test_members_that_only_look_alike_are_taken(body: bytes) -> None:
    assert json_in(body) == json.loads(body)


def _large(element: bytes, *, before: bytes = b"[", after: bytes = b"]") -> bytes:
    return before + b",".join([element] * ((1_000_000 - len(before) - len(after)) // (len(element) + 1))) + after


@pytest.mark.parametrize(
    "body",
    [
        _large(b"{}"),
        _large(b'{"a":1}'),
        _large(b'":"'),
        _large(b'"\\\\"', before=b'{"a:":['),
        b'{"inputs":' + _large(b"{}") + b',"inputs":[]}',
        b"{" + b",".join(b'"%x":0' % number for number in range(90_000)) + b',"z":0,"z":0}',
        b"[" * 1_000 + b"]" * 1_000,
        b'"' + b"\\" * 999_998 + b'"',
    ],
    ids=["objects", "members", "colons", "escapes", "objects twice", "many names", "deep", "backslashes"],
)
def test_reading_a_body_costs_the_same_whatever_is_in_it(body: bytes) -> None:
    began_s = time.perf_counter()
    with contextlib.suppress(ValueError):
        json_in(body)

    assert time.perf_counter() - began_s < 1.0, "linear work on a megabyte takes about a tenth of this"


def test_requested_outputs_are_passed_on_to_the_endpoint() -> None:
    asked = prediction_request_of(
        a_request(
            inputs=[{**TENSOR, "parameters": {"content_type": "str"}}],
            outputs=[{"name": "rate", "parameters": {"classification": 2}}],
        )
    )

    body = json.loads(OpenInferenceV2().request_body(asked.inputs, outputs=asked.outputs, inference_id="1"))

    assert body["inputs"][0]["parameters"] == {"content_type": "str"}
    assert body["outputs"] == [{"name": "rate", "parameters": {"classification": 2}}]


def test_only_requested_outputs_are_answered_in_their_order() -> None:
    outputs = [Tensor(name=name, datatype="FP32", shape=(1,), data=[1.0]) for name in "abc"]

    got = requested([RequestedOutput(name="c"), RequestedOutput(name="a")], outputs)

    assert [tensor.name for tensor in got] == ["c", "a"]
    assert requested([], outputs) == tuple(outputs)
    with pytest.raises(KeyError, match="d"):
        requested([RequestedOutput(name="d")], outputs)


def a_tensor(name: str, datatype: Datatype, element: Any) -> Tensor:
    return Tensor(name=name, datatype=datatype, shape=(1,), data=[element])


@pytest.mark.parametrize(
    ("tensor", "names"),
    [
        (a_tensor("incom", "FP32", 1.0), ['"incom"', "no version"]),
        (a_tensor("income", "FP64", 1.0), ['"income"', "FP64", "FP32"]),
    ],
)
def test_an_input_that_no_version_declares_is_refused_by_name(tensor: Tensor, names: list[str]) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        refuse_undeclared([tensor], DECLARED)

    assert [name for name in names if name not in refused.value.detail] == []


def test_an_input_is_passed_on_where_a_version_takes_whatever_there_is() -> None:
    refuse_undeclared([a_tensor("incom", "FP64", 1.0)], None)
