"""Whatever is wrong with a request, the answer names the input and what to change."""

import json
from typing import Any

import numpy as np
import pytest
from modelyard_examples.open_inference import BadRequestError, DeclaredTensor, answer_of, parse_request

DECLARED = (
    DeclaredTensor(name="amount", datatype="INT64"),
    DeclaredTensor(name="share", datatype="FP32"),
    DeclaredTensor(name="home", datatype="BYTES"),
)


def a_request(*, without: str | None = None, **changed: dict[str, Any]) -> bytes:
    tensors = {
        "amount": {"name": "amount", "datatype": "INT64", "shape": [2, 1], "data": [1, 2]},
        "share": {"name": "share", "datatype": "FP32", "shape": [2], "data": [0.5, 1]},
        "home": {"name": "home", "datatype": "BYTES", "shape": [2, 1], "data": [["RENT"], ["OWN"]]},
    }
    for name, change in changed.items():
        tensors.setdefault(name, {"name": name}).update(change)
    return json.dumps({"inputs": [tensor for name, tensor in tensors.items() if name != without]}).encode()


def test_flat_and_nested_values_become_one_column_each() -> None:
    request = parse_request(a_request(), declared=DECLARED)

    assert {name: array.shape for name, array in request.inputs.items()} == {
        "amount": (2, 1),
        "share": (2, 1),
        "home": (2, 1),
    }
    assert request.inputs["amount"].dtype == np.int64
    assert request.inputs["share"].dtype == np.float32
    assert request.inputs["home"].ravel().tolist() == ["RENT", "OWN"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "JSON object"),
        (b"{}", "`inputs` must be a list"),
        (b'{"inputs": []}', "`inputs` must be a list"),
        (b'{"inputs": [1]}', "object with a `name`"),
        (b'{"id": 1, "inputs": [{"name": "a"}]}', "`id` must be a string"),
        (b'{"inputs": [{"name": "amount"}, {"name": "amount"}]}', "given twice"),
        (b'{"inputs": [{"name": "amount", "data": [NaN]}]}', "NaN is no JSON number"),
        (a_request(without="home"), "'home' is missing"),
        (a_request(grade={"data": ["A"]}), "'grade' is not an input of this model; it has amount, share, home"),
        (a_request(amount={"datatype": "FP32"}), "'amount' must have datatype 'INT64', not 'FP32'"),
        (a_request(amount={"shape": [1, 2]}), "'amount' must have the shape"),
        (a_request(amount={"shape": [0, 1], "data": []}), "'amount' must have the shape"),
        (a_request(amount={"shape": [True, 1]}), "'amount' must have the shape"),
        (a_request(amount={"shape": "2"}), "'amount' must have the shape"),
        (a_request(amount={"shape": [10_001, 1]}), "'amount' must have the shape"),
        (a_request(amount={"data": [1]}), "'amount' has 1 values, but its shape says 2"),
        (a_request(amount={"data": 7}), "'amount' must carry its values as a list"),
        (a_request(amount={"data": [1, 2.5]}), "'amount' has the value 2.5, which is no INT64"),
        (a_request(amount={"data": [1, True]}), "'amount' has the value True"),
        (a_request(amount={"data": [1, 2**63]}), "too large"),
        (a_request(share={"data": [1, None]}), "'share' has the value None"),
        (a_request(share={"data": [1, "2"]}), "'share' has the value '2'"),
        (a_request(share={"data": [1, 1e300]}), "too large"),
        (a_request(share={"data": [1, 10**400]}), "too large"),
        (a_request(home={"data": ["OWN", 1]}), "'home' has the value 1, which is no BYTES"),
        (a_request(amount={"shape": [1, 1], "data": [1]}), "rows"),
    ],
)
def test_a_bad_request_is_told_what_to_change(body: bytes, told: str) -> None:
    with pytest.raises(BadRequestError) as refusal:
        parse_request(body, declared=DECLARED)

    assert told in str(refusal.value)


def test_an_answer_carries_each_output_with_its_shape() -> None:
    outputs = {"rate": np.array([[1.5], [2.5]], dtype=np.float32)}

    answer = json.loads(
        answer_of(outputs, declared=[DeclaredTensor(name="rate", datatype="FP32")], about={"model_name": "m"})
    )

    assert answer == {
        "model_name": "m",
        "outputs": [{"name": "rate", "datatype": "FP32", "shape": [2, 1], "data": [1.5, 2.5]}],
    }
