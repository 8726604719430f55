"""Reads a prediction request: a body of the Open Inference Protocol v2 whose parameters are routing attributes."""

from collections.abc import Sequence
from dataclasses import dataclass

from modelyard_events.inferences import RequestedOutput
from modelyard_events.limits import NAME_CHARS_MAX
from modelyard_events.shown import shown
from modelyard_events.tensors import TENSORS_MAX, TensorError, parameters_in, tensors_in
from modelyard_events.values import Tensor
from modelyard_runtime.problems import InvalidRequestError

from modelyard_router.domain.attributes import ATTRIBUTES, Attributes, attributes_of

ID_CHARACTERS_MAX = 200

_MEMBERS = frozenset({"id", "inputs", "outputs", "parameters"})
_TENSOR_MEMBERS = frozenset({"name", "datatype", "shape", "data", "parameters"})
_OUTPUT_MEMBERS = frozenset({"name", "parameters"})
_HINTS = {
    "instances": "That is the word of another protocol. Send `inputs`, each as {name, datatype, shape, data}.",
    "model_name": "Send `model` in `parameters`.",
    "model_version": "Send `model` and `version` in `parameters`.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRequest:
    """A caller's request: its id, its inputs, the outputs that it asks for, and its routing attributes.

    Empty `outputs` ask for all outputs.
    """

    id: str | None
    inputs: tuple[Tensor, ...]
    outputs: tuple[RequestedOutput, ...]
    attributes: Attributes


def prediction_request_of(body: object) -> PredictionRequest:
    """Return the request in a JSON body. Raises InvalidRequestError, which names what to correct."""
    if not isinstance(body, dict):
        raise InvalidRequestError(
            f"The body is {shown(body)}.", fix='Send an object with "inputs" and "parameters"; /docs has an example.'
        )
    if unknown := body.keys() - _MEMBERS:
        raise _unknown(min(unknown))
    request_id = body.get("id")
    if request_id is not None and not (isinstance(request_id, str) and 0 < len(request_id) <= ID_CHARACTERS_MAX):
        raise InvalidRequestError(
            f"`id` is {shown(request_id)}.", fix=f"Send `id` as a string of 1 to {ID_CHARACTERS_MAX} characters."
        )
    attributes = attributes_of({} if body.get("parameters") is None else body["parameters"])
    try:
        inputs, outputs = _inputs(body.get("inputs")), _outputs(body.get("outputs"))
    except TensorError as error:
        raise InvalidRequestError(f"{error}.", fix=error.fix) from error
    return PredictionRequest(id=request_id, inputs=inputs, outputs=outputs, attributes=attributes)


def requested(outputs: Sequence[RequestedOutput], answered: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the answered tensors that were asked for, in the order of the request; all when none was named.

    Raises KeyError with the first name that was not answered.
    """
    if not outputs:
        return tuple(answered)
    by_name = {tensor.name: tensor for tensor in answered}
    return tuple(by_name[output.name] for output in outputs)


def _unknown(member: str) -> InvalidRequestError:
    hint = _HINTS.get(member)
    if hint is None and member in ATTRIBUTES:
        hint = f"Send `{member}` in `parameters`, as all routing attributes."
    return InvalidRequestError(
        f"{shown(member)} is not a member of a prediction request.",
        fix=hint or "Send `id`, `inputs`, `outputs` and `parameters`; routing attributes belong into `parameters`.",
    )


def _inputs(raw: object) -> tuple[Tensor, ...]:
    if raw is None:
        return ()
    tensors = tensors_in(raw, place="inputs")
    if isinstance(raw, list):
        _refuse_unknown_members(raw, place="inputs", known=_TENSOR_MEMBERS)
    return tensors


def _outputs(raw: object) -> tuple[RequestedOutput, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list) or len(raw) > TENSORS_MAX:
        raise TensorError(f"`outputs` is {shown(raw)}", fix=f"Send a list of at most {TENSORS_MAX} outputs.")
    outputs = [_output(each, place=f"outputs.{number}") for number, each in enumerate(raw)]
    _refuse_unknown_members(raw, place="outputs", known=_OUTPUT_MEMBERS)
    names: set[str] = set()
    for output in outputs:
        if output.name in names:
            raise TensorError(f"`outputs` has {shown(output.name)} twice", fix="Ask for each output once.")
        names.add(output.name)
    return tuple(outputs)


def _output(raw: object, *, place: str) -> RequestedOutput:
    name = raw.get("name") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(name, str) or not 0 < len(name) <= NAME_CHARS_MAX:
        what = f"`{place}.name` is {shown(name)}" if isinstance(raw, dict) else f"`{place}` is {shown(raw)}"
        raise TensorError(what, fix='Name each output that you want, as in {"name": "interest_rate"}.')
    parameters = parameters_in(raw.get("parameters"), place=f"{place}.parameters")
    return RequestedOutput.model_construct(name=name, parameters=parameters)


def _refuse_unknown_members(raw: Sequence[object], *, place: str, known: frozenset[str]) -> None:
    for number, each in enumerate(raw):
        if isinstance(each, dict) and (unknown := each.keys() - known):
            raise TensorError(
                f"`{place}.{number}` has the member {shown(min(unknown))}, which is not understood",
                fix=f"Send only: {', '.join(sorted(known))}.",
            )
