"""Compares two answers. They match if they have the same outputs, equal texts, and numbers within the tolerance."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from modelyard_events.values import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """Numbers match when |shadow - served| <= absolute + relative * |served|, in the outputs' own unit."""

    relative: float
    absolute: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The result for one pair of answers. The differences are means over all numeric values that both answers have.

    `difference` is shadow minus served, `difference_abs` its magnitude. Both are None when the answers have no numeric
    value in common.
    """

    verdict: Literal["match", "drift"]
    difference: float | None
    difference_abs: float | None


def compare(served: Sequence[Tensor], shadow: Sequence[Tensor], *, tolerance: Tolerance) -> Comparison:
    """Compare the shadow's outputs with the served ones: tensors by name, then value by value.

    A missing, additional or differently shaped output is drift. Two NaN match each other. A NaN or an infinity
    is drift against any other value, and is left out of the means.
    """
    served_by_name = {tensor.name: tensor for tensor in served}
    shadow_by_name = {tensor.name: tensor for tensor in shadow}
    matches = bool(served_by_name) and served_by_name.keys() == shadow_by_name.keys()
    differences: list[float] = []
    for name in served_by_name.keys() & shadow_by_name.keys():
        one, other = served_by_name[name], shadow_by_name[name]
        one_values, other_values = list(_flat(one.data)), list(_flat(other.data))
        if one.shape != other.shape or len(one_values) != len(other_values):
            matches = False
            continue
        pairs = list(zip(one_values, other_values, strict=True))
        matches = matches and all(_is_match(a, b, tolerance=tolerance) for a, b in pairs)
        differences.extend(_differences(pairs))
    return Comparison(
        verdict="match" if matches else "drift",
        difference=_mean(differences),
        difference_abs=_mean([abs(each) for each in differences]),
    )


def _is_match(served: Any, shadow: Any, *, tolerance: Tolerance) -> bool:
    if not (_is_number(served) and _is_number(shadow)):
        return bool(served == shadow)
    if not (_is_finite(served) and _is_finite(shadow)):
        are_nan = served != served and shadow != shadow  # `isnan` refuses what no float can hold.
        return bool(served == shadow) or are_nan
    return bool(abs(shadow - served) <= tolerance.absolute + tolerance.relative * abs(served))


def _differences(pairs: Iterable[tuple[Any, Any]]) -> Iterator[float]:
    for served, shadow in pairs:
        if _is_number(served) and _is_number(shadow) and _is_finite(served) and _is_finite(shadow):
            difference = float(shadow) - float(served)
            if math.isfinite(difference):
                yield difference


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # A whole number that no float can hold.
        return False


def _mean(values: Sequence[float]) -> float | None:
    if not values:
        return None
    # Each value is divided first, because the sum of large numbers can overflow where their mean does not.
    return math.fsum(value / len(values) for value in values)


def _flat(data: Any) -> Iterator[Any]:
    for value in data:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value
