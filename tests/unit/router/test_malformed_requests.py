"""Malformed requests are refused by name, before anything is decided."""

from typing import Any

import pytest
from modelyard_router.domain.attributes import attributes_of
from modelyard_router.domain.prediction_request import prediction_request_of
from modelyard_router.operations.json_request import json_of
from modelyard_routing.decision import RouteRequest
from modelyard_runtime.problems import InvalidRequestError, ProblemError

TENSOR: dict[str, Any] = {"name": "income", "datatype": "FP32", "shape": [1, 1], "data": [1.0]}


@pytest.mark.parametrize(
    ("raw", "status", "names"),
    [
        (b"", 400, "JSON"),
        (b"{", 400, "JSON"),
        (b"\xff\xfe", 400, "JSON"),
        (b'{"unit_id": "\\ud800"}', 400, "JSON"),
        (b"[" * 2_000, 400, "JSON"),
        (b"[" * 50_000, 413, "lists and objects"),
        (b'{"model_type":"risk-scoring","x":[' + b"1," * 250_000 + b"1]}", 413, "250000 values"),
        (b"[]", 422, "object"),
        (b"{}", 422, "model_type"),
        (b'{"model_type": 7}', 422, "model_type"),
        (b'{"model_type": "a b"}', 422, "model_type"),
        (b'{"model_type": "risk-scoring\\n"}', 422, "model_type"),
        (b'{"model_typ": "risk-scoring"}', 422, "model_typ"),
        (b'{"model_type": "risk-scoring", "unit_id": 42}', 422, "unit_id"),
        (b'{"model_type": "risk-scoring", "unit_id": ""}', 422, "unit_id"),
        (b'{"model_type": "risk-scoring", "version": 1}', 422, "model"),
        (b'{"model": "everyone", "version": true}', 422, "version"),
        (b'{"model": "everyone", "version": 0}', 422, "version"),
        (b'{"model": "everyone", "version": "1.2"}', 422, "version"),
        (b'{"model": "everyone", "version": 1, "alias": "champion"}', 422, "alias"),
        (b'{"model_type": "risk-scoring", "entity_id": "7"}', 422, "entity_type"),
        (b'{"model_type": "risk-scoring", "entity_type": "loan", "entity_id": ".."}', 422, "entity_id"),
    ],
)
def test_a_malformed_route_request_is_refused_by_name(raw: bytes, status: int, names: str) -> None:
    with pytest.raises(ProblemError) as refused:
        attributes_of(json_of(raw))

    assert refused.value.status == status
    assert names in refused.value.detail
    assert refused.value.fix.endswith(".")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"inputs": "x"}, "inputs"),
        ({"inputs": [1]}, "inputs.0"),
        ({"inputs": [{**TENSOR, "datatype": "FLOAT"}]}, "datatype"),
        ({"inputs": [{**TENSOR, "shape": [2, 1]}]}, "income"),
        ({"inputs": [{**TENSOR, "shape": [-1]}]}, "shape"),
        ({"inputs": [TENSOR, TENSOR]}, "twice"),
        ({"inputs": [{"name": "income"}]}, "inputs.0"),
        ({"id": 7}, "id"),
        ({"model_type": "risk-scoring"}, "model_type"),
        ({"parameters": []}, ""),
        ({"parameters": {"model_type": "risk-scoring", "colour": "red"}}, "colour"),
    ],
)
def test_a_malformed_prediction_request_is_refused_by_name(change: dict[str, Any], names: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        prediction_request_of({"parameters": {"model_type": "risk-scoring"}, **change})

    assert names in refused.value.detail


def test_a_member_that_is_null_counts_as_absent() -> None:
    members = {"model_type": "risk-scoring", "unit_id": None, "project": None, "unit_type": None}

    assert attributes_of(members).request == RouteRequest("default", "risk-scoring")


@pytest.mark.parametrize(("written", "means"), [(3, 3), ("3", 3), ("1.2.0", "1.2.0"), ("v1.2.0", "1.2.0")])
def test_a_version_is_a_number_or_a_semantic_version(written: object, means: object) -> None:
    assert attributes_of({"model": "everyone", "version": written}).request.version == means


def test_nested_rows_count_as_many_elements_as_flat_ones() -> None:
    nested = {**TENSOR, "shape": [2, 2], "data": [[1.0, 2.0], [3.0, 4.0]]}

    request = prediction_request_of({"inputs": [nested], "parameters": {"model_type": "risk-scoring"}})

    assert request.inputs[0].shape == (2, 2)
