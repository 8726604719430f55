"""The Open Inference Protocol v2 as the router speaks it to endpoints: what it asks, and what counts as an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from modelyard_events.inferences import RequestedOutput
from modelyard_events.routes import RoutableVersion
from modelyard_events.shown import shown
from modelyard_events.tensors import TensorError, members_of, tensors_in, with_parameters
from modelyard_events.values import Tensor

from modelyard_router.domain.json_body import json_in


class NonsenseError(Exception):
    """The answer is no answer of the Open Inference Protocol; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceAnswer:
    """An endpoint's answer. What it says about its version and bytes may be absent."""

    model_name: str | None
    model_version: str | int | None
    digest: object
    outputs: tuple[Tensor, ...]

    def is_by(self, version: RoutableVersion) -> bool:
        """Whether nothing in the answer contradicts that this version gave it."""
        return (
            self.model_name in (None, version.model)
            and (self.model_version is None or str(self.model_version) in (str(version.number), version.semver))
            and self.digest in (None, version.digest)
        )


def inference_body(tensors: Sequence[Tensor], *, outputs: Sequence[RequestedOutput] = (), inference_id: str) -> bytes:
    """The body that asks an endpoint for these outputs, or for all, from these tensors."""
    body: dict[str, Any] = {"id": inference_id, "inputs": members_of(tensors)}
    if outputs:
        body["outputs"] = [with_parameters({"name": output.name}, output.parameters) for output in outputs]
    return orjson.dumps(body)


def inference_answer_of(body: bytes) -> InferenceAnswer:
    """The answer in an endpoint's body. Raises NonsenseError."""
    try:
        answer = json_in(body)
    except ValueError as error:
        raise NonsenseError(f"it is not JSON that means one thing: {error}") from error
    if not isinstance(answer, dict):
        raise NonsenseError(f"it is {shown(answer)}")
    name, version, parameters = (answer.get(member) for member in ("model_name", "model_version", "parameters"))
    if name is not None and not isinstance(name, str):
        raise NonsenseError(f"`model_name` is {shown(name)}")
    if version is not None and type(version) not in (str, int):
        raise NonsenseError(f"`model_version` is {shown(version)}")
    if parameters is not None and not isinstance(parameters, dict):
        raise NonsenseError(f"`parameters` is {shown(parameters)}")
    try:
        outputs = tensors_in(answer.get("outputs"), place="outputs")
    except TensorError as error:
        raise NonsenseError(str(error)) from error
    if not outputs:
        raise NonsenseError("`outputs` is empty")
    digest = (parameters or {}).get("digest")
    return InferenceAnswer(model_name=name, model_version=version, digest=digest, outputs=outputs)
