"""The Open Inference Protocol v2 over HTTP: an answer counts only when the shadow's own version made it."""

import time
from typing import Any

import orjson
from modelyard_events.inferences import ShadowTarget
from modelyard_events.values import Tensor
from modelyard_runtime.errors import PermanentError, TransientError
from modelyard_runtime.fetch import Fetched, Fetcher
from pydantic import TypeAdapter, ValidationError

from modelyard_shadow_worker.ports import Answer, ShadowAnswerError, ShadowUnavailableError

ANSWER_BYTES_MAX = 512 * 1024
BODY_CHARS_SHOWN = 200
RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
HEADERS = {
    "content-type": "application/json",
    "accept": "application/json",
    # For model servers that do more than predict (write logs, charge for it): nobody waits for this answer.
    "x-modelyard-shadow": "true",
}

_OUTPUTS = TypeAdapter(tuple[Tensor, ...])


class OpenInferenceShadow:
    """Asks shadows through the fetcher, so only where requests may go."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    async def infer(
        self, shadow: ShadowTarget, inputs: tuple[Tensor, ...], *, request_id: str, timeout_s: float
    ) -> Answer:
        """See `Shadow.infer`."""
        body = _body(inputs, request_id=request_id)
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
        return Answer(outputs=_outputs(document), latency_ms=latency_ms)


def _body(inputs: tuple[Tensor, ...], *, request_id: str) -> bytes:
    try:
        return orjson.dumps({"id": request_id, "inputs": [tensor.model_dump() for tensor in inputs]})
    except orjson.JSONEncodeError as error:
        raise ShadowAnswerError(f"the inputs cannot be sent as JSON: {error}") from error


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
    """The protocol leaves it open whether an answer names its version; one that does must name the right one."""
    number = document.get("model_version")
    if number is not None and str(number) != str(shadow.number):
        raise ShadowAnswerError(f"version {number} answered instead of {shadow.model} {shadow.number}")
    parameters = document.get("parameters")
    digest = parameters.get("digest") if isinstance(parameters, dict) else None
    if digest is not None and digest != shadow.digest:
        raise ShadowAnswerError(f"an artifact with digest {digest} answered instead of {shadow.digest}")


def _outputs(document: dict[str, Any]) -> tuple[Tensor, ...]:
    try:
        outputs = _OUTPUTS.validate_python(document.get("outputs"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in ("outputs", *first["loc"]))
        raise ShadowAnswerError(f"the endpoint's answer: {place}: {first['msg']}") from error
    if not outputs:
        raise ShadowAnswerError("the endpoint's answer has no outputs")
    return outputs
