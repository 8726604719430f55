"""The Open Inference Protocol v2 towards endpoints: writes requests, and reads and checks answers."""

from collections.abc import Sequence
from typing import Any

import orjson
from modelyard_events.inferences import RequestedOutput
from modelyard_events.shown import shown
from modelyard_events.tensors import TensorError, members_of, tensors_in, with_parameters
from modelyard_events.values import Tensor

from modelyard_router.domain.json_body import json_in
from modelyard_router.domain.prediction_protocol import InferenceAnswer, InvalidAnswerError


class OpenInferenceV2:
    """See `PredictionProtocol`."""

    title = "Open Inference Protocol"

    def request_body(
        self, tensors: Sequence[Tensor], *, outputs: Sequence[RequestedOutput] = (), inference_id: str
    ) -> bytes:
        """See `PredictionProtocol.request_body`."""
        body: dict[str, Any] = {"id": inference_id, "inputs": members_of(tensors)}
        if outputs:
            body["outputs"] = [with_parameters({"name": output.name}, output.parameters) for output in outputs]
        return orjson.dumps(body)

    def answer_of(self, body: bytes) -> InferenceAnswer:
        """See `PredictionProtocol.answer_of`."""
        try:
            answer = json_in(body)
        except ValueError as error:
            raise InvalidAnswerError(f"it is not JSON that means one thing: {error}") from error
        if not isinstance(answer, dict):
            raise InvalidAnswerError(f"it is {shown(answer)}")
        name, version, parameters = (answer.get(member) for member in ("model_name", "model_version", "parameters"))
        if name is not None and not isinstance(name, str):
            raise InvalidAnswerError(f"`model_name` is {shown(name)}")
        if version is not None and type(version) not in (str, int):
            raise InvalidAnswerError(f"`model_version` is {shown(version)}")
        if parameters is not None and not isinstance(parameters, dict):
            raise InvalidAnswerError(f"`parameters` is {shown(parameters)}")
        try:
            outputs = tensors_in(answer.get("outputs"), place="outputs")
        except TensorError as error:
            raise InvalidAnswerError(str(error)) from error
        if not outputs:
            raise InvalidAnswerError("`outputs` is empty")
        digest = (parameters or {}).get("digest")
        return InferenceAnswer(model_name=name, model_version=version, digest=digest, outputs=outputs)
