"""Which inputs a version gets: those of the request first, then the feature source's, only the declared ones."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from modelyard_events.values import Datatype, Feature, Tensor

ELEMENTS_MAX = 10_000


class FeatureMismatchError(Exception):
    """A feature's value does not fit the datatype that the model declares; the text says which and why."""


def missing_inputs(declared: Sequence[Feature], tensors: Sequence[Tensor]) -> tuple[str, ...]:
    """The names that are declared and not in hand, in the declared order."""
    names = {tensor.name for tensor in tensors}
    return tuple(feature.name for feature in declared if feature.name not in names)


def declared_inputs(declared: Sequence[Feature], tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The declared tensors, in the declared order; all there are when nothing is declared."""
    if not declared:
        return tuple(tensors)
    by_name = {tensor.name: tensor for tensor in tensors}
    return tuple(by_name[feature.name] for feature in declared)


def needs_features(declared: Sequence[Feature], tensors: Sequence[Tensor]) -> bool:
    """Whether the request's own tensors are not enough."""
    return bool(missing_inputs(declared, tensors)) if declared else not tensors


def merged(request: Sequence[Tensor], fetched: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """All tensors in hand: what the caller sent wins over what the feature source says."""
    names = {tensor.name for tensor in request}
    return (*request, *(tensor for tensor in fetched if tensor.name not in names))


def tensors_of(features: Mapping[str, Any], declared: Sequence[Feature]) -> tuple[Tensor, ...]:
    """A feature source's features as tensors of one row, in the datatypes that models declare for them.

    A feature without a value (null) is left out; one that nobody declares gets the datatype of its JSON
    type. Raises FeatureMismatchError.
    """
    datatypes = {feature.name: feature.datatype for feature in declared}
    tensors = []
    for name, value in features.items():
        if value is None:
            continue
        elements = value if isinstance(value, list) else [value]
        if not elements or len(elements) > ELEMENTS_MAX:
            raise FeatureMismatchError(
                f"feature {name} has {len(elements)} elements; 1 to {ELEMENTS_MAX} are understood"
            )
        datatype = datatypes.get(name) or _natural_datatype(name, elements)
        data = [_element(name, element, datatype) for element in elements]
        tensors.append(Tensor(name=name, datatype=datatype, shape=(1, len(data)), data=data))
    return tuple(tensors)


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
    raise FeatureMismatchError(f"feature {name} is neither numbers, nor texts, nor true or false")


def _element(name: str, element: Any, datatype: Datatype) -> Any:
    is_number = isinstance(element, int | float) and not isinstance(element, bool) and isfinite(element)
    if datatype.startswith("FP") and is_number:
        return float(element)
    if "INT" in datatype and is_number and element == int(element):
        return int(element)
    if datatype == "BOOL" and isinstance(element, bool):
        return element
    if datatype == "BYTES" and isinstance(element, str):
        return element
    raise FeatureMismatchError(f"feature {name} is {element!r:.100}, but the model declares {datatype}")
