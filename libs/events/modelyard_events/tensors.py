"""Tensors of the Open Inference Protocol v2, taken at their word: name, datatype, shape and data must agree.

Callers of the router, model endpoints and shadows are held to the same rules. Nothing is converted: an element that is
no value of the declared datatype is refused. The work grows with the number of elements, not with what a shape claims.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from operator import ne
from typing import Any, cast, get_args

from modelyard_events.limits import NAME_CHARS_MAX, TENSOR_DIMENSION_MAX, TENSOR_RANK_MAX
from modelyard_events.shown import shown
from modelyard_events.values import Datatype, Feature, Scalar, Tensor

TENSORS_MAX = 2_000
PARAMETERS_MAX = 32
PARAMETER_CHARS_MAX = 2_000

_DATATYPES = frozenset(get_args(Datatype))
_WHOLE = frozenset({int})
_NUMBERS = frozenset({int, float})
_KINDS: dict[str, frozenset[type]] = {"BOOL": frozenset({bool}), "BYTES": frozenset({str})}
_WANTED = {"BOOL": "true or false", "BYTES": "a string"}
_FP_LARGEST = {"FP16": 65_504.0, "FP32": 3.4028234663852886e38, "FP64": 1.7976931348623157e308}
# Parameters that move tensors out of the JSON body, where neither side could read them.
_MOVED_AWAY = ("binary_data", "shared_memory")


class TensorError(ValueError):
    """A tensor contradicts itself or the protocol. The text says which and why, `fix` what is right."""

    def __init__(self, problem: str, *, fix: str) -> None:
        super().__init__(problem)
        self.fix = fix


def tensors_in(raw: object, *, place: str) -> tuple[Tensor, ...]:
    """The tensors in a JSON list; `place` names the list in errors, as in `inputs`. Raises TensorError."""
    if not isinstance(raw, list) or len(raw) > TENSORS_MAX:
        raise TensorError(f"`{place}` is {shown(raw)}", fix=f"Send a list of at most {TENSORS_MAX} tensors.")
    tensors = tuple(_tensor(each, place=f"{place}.{number}") for number, each in enumerate(raw))
    names: set[str] = set()
    for tensor in tensors:
        if tensor.name in names:
            raise TensorError(f"`{place}` has {shown(tensor.name)} twice", fix="Send each tensor once.")
        names.add(tensor.name)
    return tensors


def parameters_in(raw: object, *, place: str) -> dict[str, Scalar]:
    """The parameters in a JSON object: strings, numbers, true or false, as the protocol says. Raises TensorError."""
    if raw is None:
        return {}
    if not isinstance(raw, dict) or len(raw) > PARAMETERS_MAX:
        raise TensorError(f"`{place}` is {shown(raw)}", fix=f"Send an object of at most {PARAMETERS_MAX} parameters.")
    for name, value in raw.items():
        if not 0 < len(name) <= NAME_CHARS_MAX:
            raise TensorError(
                f"`{place}` has a parameter named {shown(name)}", fix=f"Use names of 1 to {NAME_CHARS_MAX} characters."
            )
        if name.startswith(_MOVED_AWAY):
            raise TensorError(
                f"`{place}.{name}` is not understood: tensors travel in the JSON body only",
                fix="Leave the parameter out and send `data`.",
            )
        if not isinstance(value, str | int | float) or (isinstance(value, str) and len(value) > PARAMETER_CHARS_MAX):
            raise TensorError(
                f"`{place}.{name:.100}` is {shown(value)}",
                fix=f"Send a string of at most {PARAMETER_CHARS_MAX} characters, a number, true or false.",
            )
    return raw


def misfit(elements: Sequence[Any], datatype: Datatype) -> str | None:
    """Which of these elements is no value of the datatype, as words for an error; None when all are."""
    kinds = _KINDS.get(datatype) or (_NUMBERS if datatype in _FP_LARGEST else _WHOLE)
    if wrong := set(map(type, elements)) - kinds:
        return _first(elements, lambda element: type(element) in wrong, datatype)
    if not elements or datatype in _KINDS:
        return None
    low, high = _range_of(datatype)
    # A NaN compares as nothing, so that neither the least nor the largest element tells of it.
    may_have_nan = datatype in _FP_LARGEST
    if min(elements) < low or max(elements) > high or (may_have_nan and any(map(ne, elements, elements))):
        return _first(elements, lambda element: not low <= element <= high, datatype)
    return None


def as_declared(tensors: Sequence[Tensor], declared: Sequence[Feature]) -> tuple[Tensor, ...]:
    """The declared tensors in the declared order and datatypes; all there are when nothing is declared.

    A tensor of another datatype is taken when each element is a value of the declared one as well. Raises
    TensorError otherwise, and KeyError for a declared tensor that is not there.
    """
    if not declared:
        return tuple(tensors)
    by_name = {tensor.name: tensor for tensor in tensors}
    return tuple(_relabelled(by_name[feature.name], feature.datatype) for feature in declared)


def elements_of(tensor: Tensor) -> Sequence[Any]:
    """The elements in row-major order, of flat or nested data. Raises TensorError when they are neither."""
    if list not in set(map(type, tensor.data)):
        return tensor.data
    level: list[Any] = [tensor.data]
    for length in tensor.shape:
        if not all(type(row) is list and len(row) == length for row in level):
            raise TensorError(
                f"the rows of its data are not nested as its shape {list(tensor.shape)} says",
                fix="Send `data` as one flat list in row-major order, or nested exactly as `shape` says.",
            )
        level = list(chain.from_iterable(level))
    return level


def members_of(tensors: Sequence[Tensor]) -> list[dict[str, Any]]:
    """Tensors as JSON members; `parameters` only where there are any."""
    return [with_parameters(_members(tensor), tensor.parameters) for tensor in tensors]


def with_parameters(members: dict[str, Any], parameters: dict[str, Scalar]) -> dict[str, Any]:
    """The members, and `parameters` if there are any."""
    return {**members, "parameters": parameters} if parameters else members


def _members(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape, "data": tensor.data}


def _tensor(raw: object, *, place: str) -> Tensor:
    if not isinstance(raw, dict):
        raise TensorError(f"`{place}` is {shown(raw)}", fix="Send each tensor as {name, datatype, shape, data}.")
    for member in ("name", "datatype", "shape", "data"):
        if member not in raw:
            raise TensorError(
                f"`{place}` has no member `{member}`", fix="Send each tensor as {name, datatype, shape, data}."
            )
    name, datatype = raw["name"], raw["datatype"]
    if not isinstance(name, str) or not 0 < len(name) <= NAME_CHARS_MAX:
        raise TensorError(f"`{place}.name` is {shown(name)}", fix=f"Send a string of 1 to {NAME_CHARS_MAX} characters.")
    if not isinstance(datatype, str) or datatype not in _DATATYPES:
        raise TensorError(
            f"`{place}.datatype` of {shown(name)} is {shown(datatype)}",
            fix=f"Send one of: {', '.join(get_args(Datatype))}.",
        )
    if not isinstance(raw["data"], list):
        raise TensorError(f"`{place}.data` of {shown(name)} is {shown(raw['data'])}", fix="Send a list of elements.")
    tensor = Tensor.model_construct(
        name=name,
        datatype=cast("Datatype", datatype),
        shape=_shape(raw["shape"], place=f"{place}.shape", name=name),
        data=raw["data"],
        parameters=parameters_in(raw.get("parameters"), place=f"{place}.parameters"),
    )
    _refuse_contradictions(tensor, place=place)
    return tensor


def _shape(raw: object, *, place: str, name: str) -> tuple[int, ...]:
    if not isinstance(raw, list) or len(raw) > TENSOR_RANK_MAX:
        raise TensorError(
            f"`{place}` of {shown(name)} is {shown(raw)}", fix=f"Send a list of at most {TENSOR_RANK_MAX} dimensions."
        )
    for length in raw:
        if type(length) is not int or not 0 <= length <= TENSOR_DIMENSION_MAX:
            raise TensorError(
                f"`{place}` of {shown(name)} has the dimension {shown(length)}",
                fix=f"Send whole numbers from 0 to {TENSOR_DIMENSION_MAX}.",
            )
    return tuple(raw)


def _refuse_contradictions(tensor: Tensor, *, place: str) -> None:
    try:
        elements = elements_of(tensor)
    except TensorError as error:
        raise TensorError(f"`{place}.data` of {shown(tensor.name)}: {error}", fix=error.fix) from None
    if not _holds(tensor.shape, len(elements)):
        raise TensorError(
            f"`{place}` ({shown(tensor.name)}) has {len(elements)} elements, not as many as its shape"
            f" {list(tensor.shape)} says",
            fix="Make `shape` and `data` agree.",
        )
    if (problem := misfit(elements, tensor.datatype)) is not None:
        raise TensorError(
            f"`{place}.data` of {shown(tensor.name)}: {problem}",
            fix="Send the elements in the datatype, or correct it.",
        )


def _holds(shape: Sequence[int], count: int) -> bool:
    """Whether a shape has so many elements. Stops multiplying as soon as it has more."""
    if 0 in shape:
        return count == 0
    product = 1
    for length in shape:
        product *= length
        if product > count:
            return False
    return product == count


def _relabelled(tensor: Tensor, datatype: Datatype) -> Tensor:
    if tensor.datatype == datatype:
        return tensor
    if (problem := misfit(elements_of(tensor), datatype)) is not None:
        raise TensorError(
            f"{shown(tensor.name)} came as {tensor.datatype}, but is declared as {datatype}: {problem}",
            fix=f"Send it as {datatype}.",
        )
    return tensor.model_copy(update={"datatype": datatype})


def _range_of(datatype: Datatype) -> tuple[float, float]:
    if datatype in _FP_LARGEST:
        return -_FP_LARGEST[datatype], _FP_LARGEST[datatype]
    bits = int(datatype.removeprefix("U").removeprefix("INT"))
    return (0, 2**bits - 1) if datatype.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _wanted(datatype: Datatype) -> str:
    if datatype in _WANTED:
        return _WANTED[datatype]
    low, high = _range_of(datatype)
    if datatype in _FP_LARGEST:
        return f"a number from {low:g} to {high:g}"
    return f"a whole number from {low} to {high}, without a decimal point"


def _first(elements: Sequence[Any], is_wrong: Callable[[Any], bool], datatype: Datatype) -> str:
    number, element = next((number, each) for number, each in enumerate(elements) if is_wrong(each))
    return f"element {number} is {shown(element)}, and {datatype} is {_wanted(datatype)}"
