"""Asks shadows by the Open Inference Protocol v2. An answer counts only if the shadow's version gave it."""

import time
from typing import Any

import orjson
from modelyard_events.inferences import RequestedOutput, ShadowTarget
from modelyard_events.tensors import TensorError, members_of, tensors_in, with_parameters
from modelyard_events.values import Tensor
from modelyard_runtime.errors import PermanentError, TransientError
from modelyard_runtime.fetch import Fetched, Fetcher

from modelyard_shadow_worker.ports import ShadowAnswer, ShadowAnswerError, ShadowUnavailableError

ANSWER_BYTES_MAX = 512 * 1024
BODY_CHARS_SHOWN = 200
RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
HEADERS = {
    "content-type": "application/json",
    "accept": "application/json",
    # Tells model servers that do more than predict, such as charge for it, that nobody waits for this answer.
    "x-modelyard-shadow": "true",
}


class OpenInferenceShadow:
    """Asks shadows through the fetcher, which refuses addresses that are not allowed."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    async def infer(
        self,
        shadow: ShadowTarget,
        inputs: tuple[Tensor, ...],
        *,
        outputs: tuple[RequestedOutput, ...] = (),
        request_id: str,
        timeout_s: float,
    ) -> ShadowAnswer:
        """See `Shadow.infer`."""
        body = _body(inputs, outputs, request_id=request_id)
        began_s = time.perf_counter()
        try:
            fetched = await self._fetcher.fetch(
                "POST",
                shadow.endpoint.url,
                timeout_s=timeout_s,
                body=body,
                headers=HEADERS,
                bytes_max=ANSWER_BYTES_MAX,
            )
        except TransientError as error:
            raise ShadowUnavailableError(str(error)) from error
        except PermanentError as error:
            raise ShadowAnswerError(str(error)) from error
        latency_ms = (time.perf_counter() - began_s) * 1_000
        document = _document(fetched)
        _refuse_other_version(document, shadow)
        return ShadowAnswer(outputs=_wanted(_outputs(document), outputs), latency_ms=latency_ms)


def _body(inputs: tuple[Tensor, ...], outputs: tuple[RequestedOutput, ...], *, request_id: str) -> bytes:
    body: dict[str, Any] = {"id": request_id, "inputs": members_of(inputs)}
    if outputs:
        body["outputs"] = [with_parameters({"name": output.name}, output.parameters) for output in outputs]
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise ShadowAnswerError(f"the inputs cannot be sent as JSON: {error}") from error


def _wanted(answered: tuple[Tensor, ...], outputs: tuple[RequestedOutput, ...]) -> tuple[Tensor, ...]:
    """The outputs that are compared: an endpoint may answer more than it was asked for."""
    names = {output.name for output in outputs}
    return tuple(tensor for tensor in answered if tensor.name in names) if names else answered


def _document(fetched: Fetched) -> dict[str, Any]:
    if fetched.status != 200:
        shown = fetched.body.decode(errors="replace")[:BODY_CHARS_SHOWN]
        message = f"the endpoint answered {fetched.status}: {shown}"
        if fetched.status in RETRIED_STATUSES:
            raise ShadowUnavailableError(message)
        raise ShadowAnswerError(message)
    try:
        document = orjson.loads(fetched.body)
    except orjson.JSONDecodeError as error:
        raise ShadowAnswerError(f"the endpoint's answer is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ShadowAnswerError("the endpoint's answer is not a JSON object")
    return document


def _refuse_other_version(document: dict[str, Any], shadow: ShadowTarget) -> None:
    """Raise ShadowAnswerError when the answer names another version. The protocol lets it name none."""
    number = document.get("model_version")
    if number is not None and str(number) != str(shadow.number):
        raise ShadowAnswerError(f"version {number} answered instead of {shadow.model} {shadow.number}")
    parameters = document.get("parameters")
    digest = parameters.get("digest") if isinstance(parameters, dict) else None
    if digest is not None and digest != shadow.digest:
        raise ShadowAnswerError(f"an artifact with digest {digest} answered instead of {shadow.digest}")


def _outputs(document: dict[str, Any]) -> tuple[Tensor, ...]:
    try:
        outputs = tensors_in(document.get("outputs"), place="outputs")
    except TensorError as error:
        raise ShadowAnswerError(f"the endpoint's answer: {error}") from error
    if not outputs:
        raise ShadowAnswerError("the endpoint's answer has no outputs")
    return outputs
