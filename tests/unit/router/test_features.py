"""The inputs that a version gets, and the features that a source may send."""

from typing import Any

import pytest
from modelyard_events.routes import FeatureSource
from modelyard_events.tensors import as_declared
from modelyard_events.values import Feature, Tensor
from modelyard_prediction_cache import Entity
from modelyard_router.adapters.feature_source import url_of
from modelyard_router.domain.features import (
    FeatureMismatchError,
    merged,
    missing_inputs,
    needs_features,
    tensors_of,
)

INCOME = Feature(name="income", datatype="FP32")
GRADE = Feature(name="grade", datatype="BYTES")


def a_tensor(name: str, value: Any = 1.0) -> Tensor:
    return Tensor(name=name, datatype="FP32", shape=(1, 1), data=[value])


def test_only_declared_inputs_are_sent_in_their_order() -> None:
    grade = Tensor(name="grade", datatype="BYTES", shape=(1,), data=["B"])
    tensors = [a_tensor("spare"), grade, a_tensor("income")]

    assert [tensor.name for tensor in as_declared(tensors, (INCOME, GRADE))] == ["income", "grade"]


def test_a_version_without_declared_inputs_gets_all_inputs() -> None:
    tensors = (a_tensor("a"), a_tensor("b"))

    assert as_declared(tensors, ()) == tensors


@pytest.mark.parametrize(
    ("declared", "names", "needs"),
    [((INCOME,), ["income"], False), ((INCOME, GRADE), ["income"], True), ((), ["income"], False), ((), [], True)],
)
def test_features_are_fetched_only_when_the_request_is_not_enough(
    declared: tuple[Feature, ...], names: list[str], needs: bool
) -> None:
    assert needs_features(declared, [a_tensor(name) for name in names]) is needs


def test_missing_inputs_are_named_in_the_declared_order() -> None:
    assert missing_inputs((GRADE, INCOME), [a_tensor("spare")]) == ("grade", "income")


def test_an_input_of_the_request_replaces_the_feature_of_that_name() -> None:
    tensors = merged([a_tensor("income", 1.0)], [a_tensor("income", 2.0), a_tensor("age", 3.0)])

    assert {tensor.name: tensor.data for tensor in tensors} == {"income": [1.0], "age": [3.0]}


@pytest.mark.parametrize(
    ("value", "datatype", "data"),
    [
        (5, "FP32", [5.0]),
        (5.0, "INT64", [5]),
        (5, "INT64", [5]),
        (True, "BOOL", [True]),
        ("B", "BYTES", ["B"]),
        ([1, 2.5], "FP64", [1.0, 2.5]),
    ],
)
def test_a_value_takes_the_declared_datatype(value: object, datatype: Any, data: list[object]) -> None:
    (tensor,) = tensors_of({"x": value}, [Feature(name="x", datatype=datatype)])

    assert (tensor.datatype, tensor.data, tensor.shape) == (datatype, data, (1, len(data)))


@pytest.mark.parametrize(
    ("value", "datatype"), [(True, "BOOL"), (7, "INT64"), (7.5, "FP64"), ([1, 2.5], "FP64"), ("x", "BYTES")]
)
def test_an_undeclared_value_gets_the_datatype_of_its_json_type(value: object, datatype: str) -> None:
    assert tensors_of({"x": value}, [])[0].datatype == datatype


@pytest.mark.parametrize(
    ("value", "datatype"),
    [
        ("5", "FP32"),
        (True, "FP32"),
        (1, "BOOL"),
        (5.5, "INT64"),
        (5, "BYTES"),
        (float("inf"), "INT64"),
        (float("nan"), "FP32"),
        ([], "FP32"),
        ({}, "FP32"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(value: object, datatype: Any) -> None:
    with pytest.raises(FeatureMismatchError, match="x"):
        tensors_of({"x": value}, [Feature(name="x", datatype=datatype)])


def test_a_feature_without_a_value_is_no_input() -> None:
    assert tensors_of({"x": None}, [INCOME]) == ()


def test_each_part_of_an_entity_is_percent_encoded() -> None:
    source = FeatureSource(url_template="http://source/{tenant}/{entity_type}/{entity_id}?all=1")
    entity = Entity(tenant="acme", entity_type="loan", entity_id="ä/{tenant}?#%")

    assert url_of(source, entity) == "http://source/acme/loan/%C3%A4%2F%7Btenant%7D%3F%23%25?all=1"
