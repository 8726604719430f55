"""The Open Inference Protocol v2, as callers speak it to the router and the router to endpoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any

import orjson
from modelyard_events.routes import RoutableVersion
from modelyard_events.values import Tensor
from modelyard_runtime.problems import InvalidRequestError
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from modelyard_router.domain.attributes import Attributes, attributes_of

TENSORS_MAX = 2_000
ID_CHARACTERS_MAX = 200


class NonsenseError(Exception):
    """The answer is no answer of the Open Inference Protocol; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRequest:
    """A caller's request: its own id, the inputs that it brings, and its routing attributes."""

    id: str | None
    inputs: tuple[Tensor, ...]
    attributes: Attributes


class InferenceAnswer(BaseModel):
    """An endpoint's answer. What it says about its version and bytes may be absent."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    model_name: str | None = None
    model_version: str | int | None = None
    parameters: dict[str, Any] = {}
    outputs: Annotated[tuple[Tensor, ...], Field(min_length=1, max_length=TENSORS_MAX)]

    def is_by(self, version: RoutableVersion) -> bool:
        """Whether nothing in the answer contradicts that this version gave it."""
        digest = self.parameters.get("digest")
        return (
            self.model_name in (None, version.model)
            and (self.model_version is None or str(self.model_version) in (str(version.number), version.semver))
            and digest in (None, version.digest)
        )


_TENSORS = TypeAdapter(tuple[Tensor, ...])
_MEMBERS = frozenset({"id", "inputs", "outputs", "parameters"})


def prediction_request_of(body: object) -> PredictionRequest:
    """The request in a JSON body. Raises InvalidRequestError, which names what to mend."""
    if not isinstance(body, dict):
        raise InvalidRequestError(
            "The body is not a JSON object.", fix='Send an object with "inputs" and "parameters"; /docs has an example.'
        )
    if unknown := body.keys() - _MEMBERS:
        raise InvalidRequestError(
            f"`{min(unknown):.100}` is not a member of a prediction request.",
            fix="Send `id`, `inputs` and `parameters`; routing attributes belong into `parameters`.",
        )
    request_id = body.get("id")
    if request_id is not None and not (isinstance(request_id, str) and 0 < len(request_id) <= ID_CHARACTERS_MAX):
        raise InvalidRequestError(
            f"`id` is {request_id!r:.120}.", fix=f"Send `id` as a string of 1 to {ID_CHARACTERS_MAX} characters."
        )
    return PredictionRequest(
        id=request_id,
        inputs=_inputs_of(body.get("inputs") or []),
        attributes=attributes_of(body.get("parameters") or {}),
    )


def inference_body(tensors: Sequence[Tensor], *, inference_id: str) -> bytes:
    """The body that asks an endpoint for a prediction from these tensors."""
    return orjson.dumps({"id": inference_id, "inputs": members_of(tensors)})


def inference_answer_of(body: bytes) -> InferenceAnswer:
    """The answer in an endpoint's body. Raises NonsenseError."""
    try:
        # Strict JSON first: a prediction that is not a number must not pass for one.
        answer = InferenceAnswer.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise NonsenseError(f"it is not JSON: {error}") from error
    except ValidationError as error:
        raise NonsenseError(_first_of(error)) from error
    for tensor in answer.outputs:
        if (problem := _size_problem(tensor)) is not None:
            raise NonsenseError(f"output {tensor.name:.100} {problem}")
    return answer


def members_of(tensors: Sequence[Tensor]) -> list[dict[str, Any]]:
    """Tensors as JSON members."""
    return [
        {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape, "data": tensor.data}
        for tensor in tensors
    ]


def _inputs_of(raw: object) -> tuple[Tensor, ...]:
    if not isinstance(raw, list) or len(raw) > TENSORS_MAX:
        raise InvalidRequestError(
            "`inputs` is not a list of tensors.", fix=f"Send a list of at most {TENSORS_MAX} tensors."
        )
    fix = "Send each input as {name, datatype, shape, data}; /docs has an example."
    try:
        tensors = _TENSORS.validate_python(raw)
    except ValidationError as error:
        raise InvalidRequestError(f"inputs.{_first_of(error)}", fix=fix) from error
    names: set[str] = set()
    for tensor in tensors:
        if tensor.name in names:
            raise InvalidRequestError(f"Input {tensor.name} is given twice.", fix="Send each input once.")
        names.add(tensor.name)
        if (problem := _size_problem(tensor)) is not None:
            raise InvalidRequestError(f"Input {tensor.name} {problem}.", fix="Make `shape` and `data` agree.")
    return tensors


def _size_problem(tensor: Tensor) -> str | None:
    """What is wrong with the number of elements, if anything is."""
    expected, got = prod(tensor.shape), _count(tensor.data)
    return None if expected == got else f"has {got} elements, but its shape {list(tensor.shape)} says {expected}"


def _count(data: list[Any]) -> int:
    count, nested = 0, [data]
    while nested:
        for element in nested.pop():
            if isinstance(element, list):
                nested.append(element)
            else:
                count += 1
    return count


def _first_of(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'body'}: {first['msg']}"
