"""What makes two predictions the same, and what must never."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard_events.values import Datatype, Tensor
from modelyard_prediction_cache import features_field, inputs_hash, prediction_field


def a_tensor(
    data: list[Any], *, name: str = "amount", datatype: Datatype = "FP32", shape: tuple[int, ...] | None = None
) -> Tensor:
    return Tensor(name=name, datatype=datatype, shape=shape or (len(data),), data=data)


def test_the_order_of_tensors_does_not_matter() -> None:
    one, other = a_tensor([1.0], name="a"), a_tensor([2.0], name="b")

    assert inputs_hash([one, other]) == inputs_hash([other, one])


def test_flat_and_nested_data_are_the_same_inputs() -> None:
    flat = a_tensor([1.0, 2.0, 3.0, 4.0], shape=(2, 2))
    nested = a_tensor([[1.0, 2.0], [3.0, 4.0]], shape=(2, 2))

    assert inputs_hash([flat]) == inputs_hash([nested])


@pytest.mark.parametrize(
    ("datatype", "one", "other"),
    [
        ("FP32", 5, 5.0),
        ("FP64", 5, 5.0),
        ("INT64", 5, 5.0),
        ("FP32", 0.1, 0.10000000149011612),
        ("BOOL", True, 1),
    ],
)
def test_numbers_that_their_datatype_cannot_tell_apart_are_the_same(datatype: Datatype, one: Any, other: Any) -> None:
    assert inputs_hash([a_tensor([one], datatype=datatype)]) == inputs_hash([a_tensor([other], datatype=datatype)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (a_tensor([1.0]), a_tensor([2.0])),
        (a_tensor([1.0]), a_tensor([1.0], name="term")),
        (a_tensor([1.0]), a_tensor([1.0], datatype="FP64")),
        (a_tensor([1.0], shape=(1,)), a_tensor([1.0], shape=(1, 1))),
        (a_tensor([0.1], datatype="FP64"), a_tensor([0.10000000149011612], datatype="FP64")),
        (a_tensor(["ab", "c"], datatype="BYTES"), a_tensor(["a", "bc"], datatype="BYTES")),
        (a_tensor(["1"], datatype="BYTES"), a_tensor([1], datatype="BYTES")),
        (a_tensor(["", "1,1:"], datatype="BYTES"), a_tensor(["1,1:", ""], datatype="BYTES")),
        (a_tensor([1.0]), a_tensor([1.0]).model_copy(update={"parameters": {"content_type": "str"}})),
        (
            a_tensor([1.0]).model_copy(update={"parameters": {"a": "1"}}),
            a_tensor([1.0]).model_copy(update={"parameters": {"a": 1}}),
        ),
        (a_tensor([None], datatype="BOOL"), a_tensor([False], datatype="BOOL")),
        (a_tensor([None]), a_tensor([0.0])),
        (a_tensor([-0.0]), a_tensor([0.0])),
        (a_tensor([1], name="aU", datatype="INT8"), a_tensor([1], name="a", datatype="UINT8")),
        (a_tensor([2**53], datatype="INT64"), a_tensor([2**53 + 1], datatype="INT64")),
    ],
)
def test_different_inputs_never_share_a_name(one: Tensor, other: Tensor) -> None:
    assert inputs_hash([one]) != inputs_hash([other])


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=10
)


@given(
    data=st.lists(ANYTHING),
    datatype=st.sampled_from(["BOOL", "UINT8", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"]),
)
def test_whatever_a_caller_sends_has_a_name_and_always_the_same(data: list[Any], datatype: Datatype) -> None:
    tensor = a_tensor(data, datatype=datatype, shape=(len(data),))

    assert inputs_hash([tensor]) == inputs_hash([tensor.model_copy()])


def test_very_deep_data_do_not_exhaust_the_stack() -> None:
    deep: list[Any] = [1.0]
    for _ in range(100_000):
        deep = [deep]

    named = inputs_hash([Tensor.model_construct(name="a", datatype="FP32", shape=(1,), data=deep)])

    assert named == inputs_hash([a_tensor([1.0], name="a")])


IDENTITY: dict[str, Any] = {
    "project": "default",
    "version_id": "v1",
    "digest": "sha256:aa",
    "endpoint_revision": 1,
    "output_policy": "",
    "source_revision": None,
    "inputs_hash": "00",
}


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("project", "other"),
        ("version_id", "v2"),
        ("digest", "sha256:bb"),
        ("endpoint_revision", 2),
        ("output_policy", "rounded"),
        ("source_revision", 1),
        ("inputs_hash", "01"),
    ],
)
def test_everything_that_decides_a_prediction_is_in_its_field(part: str, value: object) -> None:
    assert prediction_field(**IDENTITY) != prediction_field(**{**IDENTITY, part: value})


def test_parts_cannot_run_into_each_other() -> None:
    one = features_field(project="a", model_type="b1:c", source_revision=1)
    other = features_field(project="a1:b", model_type="c", source_revision=1)

    assert one != other


def test_a_field_is_short_enough_for_a_compact_hash() -> None:
    assert len(prediction_field(**IDENTITY)) <= 64


def test_inputs_keep_their_name_from_release_to_release() -> None:
    """Routers of two releases share a cache while one replaces the other."""
    assert (
        inputs_hash([a_tensor([1.0, 2.5]), a_tensor(["a"], name="purpose", datatype="BYTES")])
        == "e98b8600f3573a8cfeb56018d7fbca683331b5ab22a46e58684a3eb56673c49c"
    )
