"""The rules about inputs: which are declared, which are missing, and how features become tensors."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from modelyard_events.limits import NAME_CHARS_MAX
from modelyard_events.shown import shown
from modelyard_events.tensors import misfit
from modelyard_events.values import Datatype, Feature, Tensor
from modelyard_runtime.problems import InvalidRequestError

ELEMENTS_MAX = 10_000


class FeatureMismatchError(Exception):
    """A feature's value does not fit the datatype that the model declares; the text says which and why."""


def refuse_undeclared(tensors: Sequence[Tensor], declared: Mapping[str, frozenset[Datatype]] | None) -> None:
    """Raise InvalidRequestError for an input that no version of the route declares, by name or in this datatype.

    `declared` are the datatypes of each name; None when a version takes whatever there is. A caller does not know
    which version will answer, so it may send what any of them needs.
    """
    if declared is None:
        return
    for tensor in tensors:
        datatypes = declared.get(tensor.name)
        if datatypes is None:
            raise InvalidRequestError(
                f"Input {shown(tensor.name)} is declared by no version that may answer this request.",
                fix=f"Leave it out, or correct its name. Declared are: {_listed(declared)}.",
            )
        if tensor.datatype not in datatypes:
            wanted = " or ".join(sorted(datatypes))
            raise InvalidRequestError(
                f"Input {shown(tensor.name)} came as {tensor.datatype}, but is declared as {wanted}.",
                fix=f"Send it as {wanted}.",
            )


def missing_inputs(declared: Sequence[Feature], tensors: Sequence[Tensor]) -> tuple[str, ...]:
    """Return the declared names that `tensors` lacks, in the declared order."""
    names = {tensor.name for tensor in tensors}
    return tuple(feature.name for feature in declared if feature.name not in names)


def needs_features(declared: Sequence[Feature], tensors: Sequence[Tensor]) -> bool:
    """Whether the feature source must bring inputs that the request lacks."""
    return bool(missing_inputs(declared, tensors)) if declared else not tensors


def merged(request: Sequence[Tensor], fetched: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return all tensors. A tensor of the request replaces one of the feature source with the same name."""
    names = {tensor.name for tensor in request}
    return (*request, *(tensor for tensor in fetched if tensor.name not in names))


def tensors_of(features: Mapping[str, Any], declared: Sequence[Feature]) -> tuple[Tensor, ...]:
    """Return a feature source's features as tensors of one row, in the datatypes that models declare for them.

    A feature without a value (null) is left out. One that no model declares gets the datatype of its JSON
    type. Raises FeatureMismatchError.
    """
    datatypes = {feature.name: feature.datatype for feature in declared}
    tensors = []
    for name, value in features.items():
        if value is None:
            continue
        if not 0 < len(name) <= NAME_CHARS_MAX:
            raise FeatureMismatchError(
                f"a feature is named {shown(name)}; names of 1 to {NAME_CHARS_MAX} characters are understood"
            )
        elements = value if isinstance(value, list) else [value]
        if not elements or len(elements) > ELEMENTS_MAX:
            raise FeatureMismatchError(
                f"feature {shown(name)} has {len(elements)} elements; 1 to {ELEMENTS_MAX} are understood"
            )
        datatype = datatypes.get(name) or _natural_datatype(name, elements)
        data = _in_datatype(name, elements, datatype)
        tensors.append(Tensor(name=name, datatype=datatype, shape=(1, len(data)), data=data))
    return tuple(tensors)


def _listed(declared: Mapping[str, object], *, at_most: int = 20) -> str:
    names = sorted(declared)
    return ", ".join(names[:at_most]) + (f" and {len(names) - at_most} more" if len(names) > at_most else "")


def _natural_datatype(name: str, elements: Sequence[Any]) -> Datatype:
    kinds = {type(element) for element in elements}
    if kinds == {bool}:
        return "BOOL"
    if kinds == {int}:
        return "INT64"
    if kinds <= {int, float}:
        return "FP64"
    if kinds == {str}:
        return "BYTES"
    raise FeatureMismatchError(
        f"feature {shown(name)} is {shown(elements[0])}; numbers, strings, true and false are understood"
    )


def _in_datatype(name: str, elements: Sequence[Any], datatype: Datatype) -> list[Any]:
    """Return the elements in the model's datatype. JSON has one type of number, so that 5.0 may stand for 5."""
    data = [_number(element, datatype) for element in elements]
    if (problem := misfit(data, datatype)) is not None:
        raise FeatureMismatchError(f"feature {shown(name)} does not fit what the model declares: {problem}")
    return data


def _number(element: Any, datatype: Datatype) -> Any:
    if type(element) not in (int, float) or not isfinite(element):
        return element
    if datatype.startswith("FP"):
        return float(element)
    return int(element) if "INT" in datatype and element == int(element) else element
