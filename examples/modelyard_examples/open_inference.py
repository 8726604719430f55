"""The Open Inference Protocol v2 in JSON: requests to arrays and answers to JSON, with nothing taken on trust.

Every mistake of a request is named: which input, what is wrong with it and what would be right.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

ROWS_MAX = 10_000

Array = Any
"""A numpy array; its element type is known only when the request is."""

_ELEMENTS: Mapping[str, tuple[Any, tuple[type, ...]]] = {
    "FP32": (np.float32, (int, float)),
    "FP64": (np.float64, (int, float)),
    "INT64": (np.int64, (int,)),
    "INT32": (np.int32, (int,)),
    "BOOL": (np.bool_, (bool,)),
    "BYTES": (np.object_, (str,)),
}
"""Per datatype the array's element type and the JSON types that it is written as."""


class BadRequestError(ValueError):
    """The request cannot be answered as it is; the text says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredTensor:
    """An input or output that a model declares: one column, a value per row."""

    name: str
    datatype: str

    def metadata(self) -> dict[str, object]:
        """As the protocol's model metadata has it; -1 is any number of rows."""
        return {"name": self.name, "datatype": self.datatype, "shape": [-1, 1]}


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceRequest:
    """A request that a model can run: one array of shape [rows, 1] per declared input."""

    id: str | None
    inputs: Mapping[str, Array]


def parse_request(body: bytes, *, declared: Sequence[DeclaredTensor]) -> InferenceRequest:
    """The request in `body`. Raises BadRequestError."""
    document = _document(body)
    request_id = document.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise BadRequestError("`id` must be a string")
    given = _tensors_by_name(document.get("inputs"))
    missing = [tensor.name for tensor in declared if tensor.name not in given]
    if missing:
        raise BadRequestError(f"input {missing[0]!r} is missing; missing in all: {', '.join(missing)}")
    unexpected = given.keys() - {tensor.name for tensor in declared}
    if unexpected:
        names = ", ".join(tensor.name for tensor in declared)
        raise BadRequestError(f"input {min(unexpected)!r:.100} is not an input of this model; it has {names}")
    inputs = {tensor.name: _array(given[tensor.name], declared=tensor) for tensor in declared}
    _refuse_ragged(inputs)
    return InferenceRequest(id=request_id, inputs=inputs)


def answer_of(
    outputs: Mapping[str, Array], *, declared: Sequence[DeclaredTensor], about: Mapping[str, object]
) -> bytes:
    """The answer's JSON: `about` says which model and version made it, then come the outputs."""
    tensors = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(outputs[tensor.name].shape),
            "data": outputs[tensor.name].ravel().tolist(),
        }
        for tensor in declared
    ]
    return json.dumps({**about, "outputs": tensors}, allow_nan=False).encode()


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise BadRequestError('the body must be a JSON object: {"inputs": [...]}')
    return document


def _refuse_constant(constant: str) -> None:
    raise BadRequestError(f"{constant} is no JSON number")


def _tensors_by_name(tensors: object) -> dict[str, dict[str, Any]]:
    if not isinstance(tensors, list) or not tensors:
        raise BadRequestError("`inputs` must be a list of tensors: name, datatype, shape, data")
    by_name: dict[str, dict[str, Any]] = {}
    for tensor in tensors:
        name = tensor.get("name") if isinstance(tensor, dict) else None
        if not isinstance(name, str):
            raise BadRequestError("each of `inputs` must be an object with a `name`")
        if name in by_name:
            raise BadRequestError(f"input {name!r:.100} is given twice")
        by_name[name] = tensor
    return by_name


def _array(tensor: Mapping[str, Any], *, declared: DeclaredTensor) -> Array:
    place = f"input {declared.name!r}"
    if tensor.get("datatype") != declared.datatype:
        wrong = f"{tensor.get('datatype')!r:.50}"
        raise BadRequestError(f"{place} must have datatype {declared.datatype!r}, not {wrong}")
    rows = _rows(tensor.get("shape"), place=place)
    data = _flat(tensor.get("data"), place=place)
    if len(data) != rows:
        raise BadRequestError(f"{place} has {len(data)} values, but its shape says {rows}")
    element_type, written_as = _ELEMENTS[declared.datatype]
    for value in data:
        # Not isinstance: a JSON true would pass for the integer 1.
        if type(value) not in written_as:
            raise BadRequestError(f"{place} has the value {value!r:.100}, which is no {declared.datatype}")
    return _converted(data, element_type=element_type, place=place)


def _converted(data: list[Any], *, element_type: Any, place: str) -> Array:
    try:
        with np.errstate(over="ignore"):
            array = np.array(data, dtype=element_type).reshape(-1, 1)
    except OverflowError as error:
        raise BadRequestError(f"{place} has a value that is too large for its datatype") from error
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadRequestError(f"{place} has a value that is too large for its datatype")
    return array


def _rows(shape: object, *, place: str) -> int:
    """The number of rows of a shape [rows, 1] or [rows]."""
    if not isinstance(shape, list) or not 1 <= len(shape) <= 2 or any(type(size) is not int for size in shape):
        raise BadRequestError(f"{place} must have the shape [rows, 1], not {shape!r:.100}")
    if shape[1:] not in ([], [1]) or not 1 <= shape[0] <= ROWS_MAX:
        raise BadRequestError(f"{place} must have the shape [1 to {ROWS_MAX} rows, 1], not {shape!r:.100}")
    return int(shape[0])


def _flat(data: object, *, place: str) -> list[Any]:
    """The values of `data`, whether they were sent flat or nested row by row."""
    if not isinstance(data, list):
        raise BadRequestError(f"{place} must carry its values as a list in `data`")
    if data and all(isinstance(row, list) for row in data):
        return [value for row in data for value in row]
    return data


def _refuse_ragged(inputs: Mapping[str, Array]) -> None:
    first_name, first = next(iter(inputs.items()))
    for name, array in inputs.items():
        if len(array) != len(first):
            raise BadRequestError(f"input {name!r} has {len(array)} rows, but {first_name!r} has {len(first)}")
