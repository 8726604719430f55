"""When two answers match, and how far apart they are."""

import math
from typing import Any

import pytest
from modelyard_events.values import Datatype, Tensor
from modelyard_shadow_worker.domain.compare import Comparison, Tolerance, compare

TOLERANCE = Tolerance(relative=0.1, absolute=0.5)


def an_output(
    data: list[Any], *, name: str = "score", datatype: Datatype = "FP64", shape: tuple[int, ...] | None = None
) -> Tensor:
    return Tensor(name=name, datatype=datatype, shape=shape or (len(data),), data=data)


def judge(served: list[Any], shadow: list[Any], *, datatype: Datatype = "FP64") -> Comparison:
    return compare([an_output(served, datatype=datatype)], [an_output(shadow, datatype=datatype)], tolerance=TOLERANCE)


@pytest.mark.parametrize(
    ("served", "shadow", "verdict"),
    [
        ([10.0], [11.5], "match"),
        ([10.0], [8.5], "match"),
        ([10.0], [11.6], "drift"),
        ([-10.0], [-11.5], "match"),
        ([0.0], [0.5], "match"),
        ([0.0], [0.6], "drift"),
        ([10.0, 10.0], [10.0, 20.0], "drift"),
        ([math.nan], [math.nan], "match"),
        ([math.nan], [1.0], "drift"),
        ([math.inf], [math.inf], "match"),
        ([math.inf], [1.0], "drift"),
        ([None], [None], "match"),
        ([None], [0.0], "drift"),
        ([10**400], [1.0], "drift"),
    ],
)
def test_numbers_match_within_the_tolerance_of_the_served_one(
    served: list[Any], shadow: list[Any], verdict: str
) -> None:
    assert judge(served, shadow).verdict == verdict


@pytest.mark.parametrize(("shadow", "verdict"), [(["approve"], "match"), (["refuse"], "drift")])
def test_texts_match_when_they_are_equal(shadow: list[Any], verdict: str) -> None:
    judged = judge(["approve"], shadow, datatype="BYTES")

    assert (judged.verdict, judged.difference) == (verdict, None)


def test_a_boolean_is_not_compared_as_a_number() -> None:
    judged = judge([True], [False], datatype="BOOL")

    assert (judged.verdict, judged.difference) == ("drift", None)


def test_differences_are_means_of_shadow_minus_served() -> None:
    judged = judge([1.0, 2.0], [2.0, 1.0])

    assert judged.difference == pytest.approx(0.0)
    assert judged.difference_abs == pytest.approx(1.0)


def test_values_without_a_finite_difference_are_left_out_of_the_means() -> None:
    judged = judge([1.0, math.inf, 1e308], [2.0, 3.0, -1e308])

    assert (judged.difference, judged.difference_abs) == (1.0, 1.0)


@pytest.mark.parametrize(
    "shadow",
    [
        [],
        [an_output([1.0, 1.0])],
        [an_output([1.0], shape=(1, 1))],
        [an_output([1.0], name="other")],
        [an_output([1.0]), an_output([1.0], name="other")],
    ],
)
def test_another_shape_or_set_of_outputs_is_drift(shadow: list[Tensor]) -> None:
    assert compare([an_output([1.0])], shadow, tolerance=TOLERANCE).verdict == "drift"


def test_flat_and_nested_data_are_the_same_answer() -> None:
    judged = compare(
        [an_output([1.0, 2.0], shape=(2, 1))], [an_output([[1.0], [2.0]], shape=(2, 1))], tolerance=TOLERANCE
    )

    assert judged == Comparison(verdict="match", difference=0.0, difference_abs=0.0)


def test_an_answer_without_outputs_never_matches() -> None:
    assert compare([], [], tolerance=TOLERANCE).verdict == "drift"


def test_outputs_of_another_shape_have_no_part_in_the_means_and_the_others_have() -> None:
    names = [f"output-{number}" for number in range(20)]
    served = [an_output([1.0], name=name) for name in names]
    shadow = [
        an_output([1.0 + number] if number % 2 == 0 else [9.0, 9.0], name=name) for number, name in enumerate(names)
    ]

    judged = compare(served, shadow, tolerance=TOLERANCE)

    assert judged == Comparison(verdict="drift", difference=9.0, difference_abs=9.0)
