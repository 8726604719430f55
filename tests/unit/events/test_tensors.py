"""Tensors are taken at their word: what contradicts itself is refused by name, and nothing is converted."""

import time
from typing import Any

import pytest
from modelyard_events.tensors import TensorError, as_declared, tensors_in
from modelyard_events.values import Feature, Tensor

TENSOR: dict[str, Any] = {"name": "income", "datatype": "FP32", "shape": [1, 1], "data": [1.0]}


def nested(levels: int) -> list[Any]:
    data: list[Any] = [1.0]
    for _ in range(levels - 1):
        data = [data]
    return data


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"name": ""}, ["inputs.0.name", '""']),
        ({"name": "x" * 201}, ["inputs.0.name", "xxx"]),
        ({"name": 7}, ["inputs.0.name", "7"]),
        ({"datatype": "FLOAT"}, ["inputs.0.datatype", '"FLOAT"']),
        ({"datatype": ["FP32"]}, ["inputs.0.datatype", "a list"]),
        ({"shape": [True]}, ["inputs.0.shape", "true"]),
        ({"shape": ["1"]}, ["inputs.0.shape", '"1"']),
        ({"shape": [1.0]}, ["inputs.0.shape", "1.0"]),
        ({"shape": [-1]}, ["inputs.0.shape", "-1"]),
        ({"shape": [2**31]}, ["inputs.0.shape", "2147483648"]),
        ({"shape": [1] * 33}, ["inputs.0.shape", "33"]),
        ({"shape": [2, 1]}, ["income", "1 elements", "[2, 1]"]),
        ({"shape": [0, 3]}, ["income", "1 elements"]),
        ({"data": {"a": 1}}, ["inputs.0.data", "an object"]),
        ({"data": "1.0"}, ["inputs.0.data", '"1.0"']),
        ({"shape": [1], "data": nested(252)}, ["income", "a list of 1"]),
        ({"shape": [2, 2], "data": [[1.0], [2.0, 3.0, 4.0]]}, ["income", "nested"]),
        ({"shape": [2], "data": [1.0, [2.0]]}, ["income", "a list of 1"]),
        ({"parameters": {"content_type": ["str"]}}, ["inputs.0.parameters.content_type", "a list"]),
        ({"parameters": "str"}, ["inputs.0.parameters", '"str"']),
        ({"parameters": {"binary_data_size": 4}}, ["binary_data_size", "not understood"]),
        ({"parameters": {"shared_memory_region": "r"}}, ["shared_memory_region", "not understood"]),
    ],
)
def test_a_tensor_that_contradicts_itself_is_refused_by_name(change: dict[str, Any], names: list[str]) -> None:
    with pytest.raises(TensorError) as refused:
        tensors_in([{**TENSOR, **change}], place="inputs")

    assert [name for name in names if name not in str(refused.value)] == []
    assert refused.value.fix.endswith(".")


@pytest.mark.parametrize("member", ["name", "datatype", "shape", "data"])
def test_a_tensor_without_one_of_its_members_is_refused_by_name(member: str) -> None:
    with pytest.raises(TensorError, match=f"inputs.0.*{member}"):
        tensors_in([{name: value for name, value in TENSOR.items() if name != member}], place="inputs")


@pytest.mark.parametrize(
    ("datatype", "element", "shown"),
    [
        ("FP32", "13", '"13"'),
        ("FP32", True, "true"),
        ("FP32", None, "null"),
        ("FP64", {"a": 1}, "an object"),
        ("FP32", 1e39, "1e+39"),
        ("FP16", 65_505, "65505"),
        ("BOOL", 1, "1"),
        ("BOOL", "true", '"true"'),
        ("INT64", 5.0, "5.0"),
        ("INT64", 2**63, str(2**63)),
        ("INT8", 128, "128"),
        ("INT8", -129, "-129"),
        ("UINT8", -1, "-1"),
        ("UINT64", 2**64, str(2**64)),
        ("INT32", True, "true"),
        ("BYTES", 13, "13"),
        ("BYTES", None, "null"),
    ],
)
def test_an_element_that_is_no_value_of_the_datatype_is_refused(datatype: str, element: Any, shown: str) -> None:
    good: Any = {"BOOL": True, "BYTES": "a"}.get(datatype, 1)
    with pytest.raises(TensorError) as refused:
        tensors_in([{**TENSOR, "datatype": datatype, "shape": [2], "data": [good, element]}], place="inputs")

    assert "income" in str(refused.value)
    assert f"element 1 is {shown}" in str(refused.value)
    assert datatype in str(refused.value)


@pytest.mark.parametrize(
    ("datatype", "shape", "data"),
    [
        ("FP32", [], [1]),
        ("FP32", [2, 2], [[1, 2.5], [3.0, 4]]),
        ("FP32", [0, 2_000_000_000], []),
        ("FP32", [2, 0], [[], []]),
        ("INT8", [2], [-128, 127]),
        ("UINT64", [1], [2**64 - 1]),
        ("BOOL", [1], [False]),
        ("BYTES", [1, 1, 1], [[["ä\0"]]]),
        ("FP32", [1] * 32, nested(32)),
    ],
)
def test_a_tensor_that_agrees_with_itself_is_taken_as_it_came(datatype: str, shape: list[int], data: list[Any]) -> None:
    (tensor,) = tensors_in([{"name": "x", "datatype": datatype, "shape": shape, "data": data}], place="inputs")

    assert (tensor.datatype, list(tensor.shape), tensor.data) == (datatype, shape, data)
    assert Tensor.model_validate_json(tensor.model_dump_json()) == tensor


def test_parameters_of_a_tensor_are_kept() -> None:
    (tensor,) = tensors_in([{**TENSOR, "parameters": {"content_type": "str", "n": 1, "on": True}}], place="inputs")

    assert tensor.parameters == {"content_type": "str", "n": 1, "on": True}


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(TensorError, match='"income" twice'):
        tensors_in([TENSOR, TENSOR], place="inputs")


@pytest.mark.parametrize(
    "tensor",
    [
        {"shape": [2**63] * 49_000, "data": []},
        {"shape": [9] * 500_000, "data": []},
        {"shape": [2**31 - 1] * 32, "data": []},
        {"shape": [300, 10**18], "data": []},
    ],
)
def test_a_shape_that_claims_much_costs_nothing(tensor: dict[str, Any]) -> None:
    began_s = time.perf_counter()
    with pytest.raises(TensorError) as refused:
        tensors_in([{**TENSOR, **tensor}], place="inputs")

    assert time.perf_counter() - began_s < 0.1
    assert len(str(refused.value)) < 1_000


def a_tensor(datatype: Any, *data: Any) -> Tensor:
    return Tensor(name="x", datatype=datatype, shape=(len(data),), data=list(data))


@pytest.mark.parametrize(
    ("tensor", "declared"),
    [(a_tensor("FP64", 0.5), "FP32"), (a_tensor("INT64", 5), "INT8"), (a_tensor("INT32", 5), "FP32")],
)
def test_another_datatype_is_taken_when_each_element_is_a_value_of_the_declared_one(
    tensor: Tensor, declared: Any
) -> None:
    (taken,) = as_declared([tensor], [Feature(name="x", datatype=declared)])

    assert (taken.datatype, taken.data) == (declared, tensor.data)


@pytest.mark.parametrize(
    ("tensor", "declared"),
    [(a_tensor("FP64", 1e39), "FP32"), (a_tensor("INT64", 300), "UINT8"), (a_tensor("FP32", 5.5), "INT32")],
)
def test_another_datatype_is_refused_when_an_element_does_not_fit(tensor: Tensor, declared: Any) -> None:
    with pytest.raises(TensorError, match=f"x.*{tensor.datatype}.*{declared}"):
        as_declared([tensor], [Feature(name="x", datatype=declared)])
