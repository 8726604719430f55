"""An endpoint's answer counts only when it is valid, and only for the version that was decided."""

from typing import Any

import orjson
import pytest
from modelyard_router.domain.open_inference import OpenInferenceV2
from modelyard_router.domain.prediction_protocol import InvalidAnswerError

from tests.routing_builders import a_version

OUTPUT: dict[str, Any] = {"name": "rate", "datatype": "FP32", "shape": [1, 1], "data": [1.5]}
VERSION = a_version("everyone", 3)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"outputs": []}',
        b'{"outputs": [{"name": "rate"}]}',
        b'{"outputs": [{"name": "rate", "datatype": "FP32", "shape": [1], "data": [NaN]}]}',
        b'{"outputs": [{"name": "rate", "datatype": "FP32", "shape": [2], "data": [1.0]}]}',
        b'{"outputs": [{"name": "rate", "datatype": "FLOAT", "shape": [1], "data": [1.0]}]}',
    ],
)
def test_an_answer_without_valid_outputs_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidAnswerError):
        OpenInferenceV2().answer_of(body)


@pytest.mark.parametrize(
    ("says", "is_by"),
    [
        ({}, True),
        ({"model_version": "3"}, True),
        ({"model_version": 3}, True),
        ({"model_version": "3.0.0"}, True),
        ({"model_version": "4"}, False),
        ({"model_name": "everyone"}, True),
        ({"model_name": "another"}, False),
        ({"parameters": {"digest": VERSION.digest}}, True),
        ({"parameters": {"digest": "sha256:" + "0" * 64}}, False),
    ],
)
def test_an_answer_that_contradicts_the_decision_is_not_by_that_version(says: dict[str, Any], is_by: bool) -> None:
    answer = OpenInferenceV2().answer_of(orjson.dumps({"outputs": [OUTPUT], **says}))

    assert answer.is_by(VERSION) is is_by
