"""Asks a model endpoint for a prediction, within its deadline, and accepts only a valid answer."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog
from modelyard_events.inferences import RequestedOutput
from modelyard_events.values import Protocol, Tensor
from modelyard_routing.decision import ServableVersion
from modelyard_runtime.errors import PermanentError
from modelyard_runtime.fetch import (
    Fetched,
    Fetcher,
    FetchFailedError,
    FetchTimeoutError,
    FetchTooLargeError,
    FetchUnreachableError,
)
from modelyard_runtime.http.request_ids import outgoing_headers
from modelyard_runtime.problems import ProblemError
from modelyard_runtime.shares import ShareUsedUpError
from modelyard_runtime.state.tail import Seconds

from modelyard_router.domain.breaker import Breakers
from modelyard_router.domain.open_inference import OpenInferenceV2
from modelyard_router.domain.prediction_protocol import InferenceAnswer, InvalidAnswerError, PredictionProtocol
from modelyard_router.problems import (
    EndpointFailureError,
    EndpointInvalidResponseError,
    EndpointPausedError,
    EndpointRefusedInputsError,
    EndpointTimeoutError,
    EndpointUnreachableError,
    EndpointUnusableError,
    used_up,
)

ATTEMPTS_MAX = 2
ANSWER_BYTES_MAX = 1024 * 1024
EXCERPT_CHARACTERS_MAX = 300
HEADERS = {"content-type": "application/json", "accept": "application/json"}
REFUSED_INPUTS = frozenset({400, 409, 413, 414, 415, 422, 431})
"""Statuses that blame the request itself. Another version would get the same request, so no fallback is asked."""

FAILED = frozenset({408, 425, 429})
"""Temporary 4xx, counted as failures like every 5xx. Other 4xx mean that the recorded deployment is wrong."""

PROTOCOLS: Mapping[Protocol, PredictionProtocol] = {Protocol.OPEN_INFERENCE_V2: OpenInferenceV2()}
"""How each kind of endpoint is asked. Another protocol is another entry."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRequest:
    """What an endpoint is asked for, besides the inputs. `project` and `tenant` are those of the caller."""

    inference_id: str
    project: str
    tenant: str | None = None
    outputs: tuple[RequestedOutput, ...] = ()


class ModelEndpoints:
    """Asks the endpoints of all versions. Each has its own circuit breaker; a changed endpoint gets a new one."""

    def __init__(
        self,
        fetcher: Fetcher,
        *,
        breakers: Breakers,
        seconds: Seconds,
        protocols: Mapping[Protocol, PredictionProtocol] = PROTOCOLS,
    ) -> None:
        self._fetcher = fetcher
        self._protocols = protocols
        self._breakers = breakers
        self._seconds = seconds

    async def ask(
        self, version: ServableVersion, tensors: Sequence[Tensor], *, request: EndpointRequest
    ) -> InferenceAnswer:
        """Return the version's answer.

        Raises EndpointRefusedInputsError when the caller must act, TooManyRequestsError, else an EndpointFailureError.
        """
        key, share = (version.version.version_id, version.endpoint.revision), (request.project, request.tenant)
        if not self._breakers.permits(key, share=share, now_s=self._seconds()):
            raise EndpointPausedError(f"{_name(version)} failed repeatedly and is not asked at the moment.")
        try:
            answer = await self._ask(version, tensors, request)
        except EndpointFailureError as failure:
            self._breakers.failed(key, share=share, blame=failure.blame, now_s=self._seconds())
            raise
        except EndpointRefusedInputsError:
            self._breakers.succeeded(key, share=share)
            raise
        self._breakers.succeeded(key, share=share)
        return answer

    async def _ask(
        self, version: ServableVersion, tensors: Sequence[Tensor], request: EndpointRequest
    ) -> InferenceAnswer:
        protocol = self._protocols[version.endpoint.protocol]
        body = protocol.request_body(tensors, outputs=request.outputs, inference_id=request.inference_id)
        try:
            fetched = await self._fetch(version, body, owner=request.project)
        except ShareUsedUpError as error:
            raise used_up("endpoint", request.project) from error
        except FetchTimeoutError as error:
            raise EndpointTimeoutError(
                f"{_name(version)} did not answer within {version.endpoint.timeout_s:g} s."
            ) from error
        except FetchTooLargeError as error:
            raise _invalid(version, protocol, str(error)) from error
        except (FetchFailedError, PermanentError) as error:
            raise _not_asked(version, error) from error
        if fetched.status != 200:
            raise _refusal(version, fetched, request)
        try:
            return protocol.answer_of(fetched.body)
        except InvalidAnswerError as error:
            raise _invalid(version, protocol, str(error)) from error

    async def _fetch(self, version: ServableVersion, body: bytes, *, owner: str) -> Fetched:
        """Ask; once more when the connection failed, which is safe because a prediction changes nothing."""
        endpoint = version.endpoint
        headers = {**HEADERS, **outgoing_headers()}
        try:
            async with asyncio.timeout(endpoint.timeout_s):
                for attempt in range(1, ATTEMPTS_MAX + 1):
                    try:
                        return await self._fetcher.fetch(
                            "POST",
                            endpoint.url,
                            timeout_s=endpoint.timeout_s,
                            body=body,
                            headers=headers,
                            bytes_max=ANSWER_BYTES_MAX,
                            owner=owner,
                        )
                    except FetchFailedError:
                        if attempt == ATTEMPTS_MAX:
                            raise
        except TimeoutError as error:
            raise FetchTimeoutError(f"no answer within {endpoint.timeout_s:g} s") from error
        raise AssertionError("the last attempt returns or raises")


def _not_asked(version: ServableVersion, error: Exception) -> EndpointFailureError:
    if isinstance(error, FetchUnreachableError):
        kind: type[EndpointFailureError] = EndpointUnreachableError
    else:
        kind = EndpointUnusableError if isinstance(error, PermanentError) else EndpointFailureError
    return kind(
        f"{_name(version)} could not be asked: {error}.",
        fix="Check that the model server runs at the endpoint of the recorded deployment.",
    )


def _invalid(version: ServableVersion, protocol: PredictionProtocol, why: str) -> EndpointInvalidResponseError:
    return EndpointInvalidResponseError(
        f"{_name(version)} gave an answer that is not one of the {protocol.title}: {why}.",
        fix=f"Point the deployment at an endpoint that speaks {version.endpoint.protocol}.",
    )


def _refusal(version: ServableVersion, fetched: Fetched, request: EndpointRequest) -> ProblemError:
    """Return the problem for a status other than 200. The endpoint's text goes to the log, not to the caller."""
    log.warning(
        "endpoint_refused",
        model=version.version.model,
        number=version.version.number,
        status=fetched.status,
        inference_id=request.inference_id,
        body=fetched.body[: EXCERPT_CHARACTERS_MAX * 4].decode(errors="replace")[:EXCERPT_CHARACTERS_MAX],
    )
    where = f"what it wrote is in the router's log under inference_id {request.inference_id}"
    if fetched.status in REFUSED_INPUTS:
        return EndpointRefusedInputsError(
            f"{_name(version)} refused the inputs with {fetched.status}; {where}.",
            inference_id=request.inference_id,
        )
    failed = fetched.status >= 500 or fetched.status in FAILED
    kind = EndpointFailureError if failed else EndpointUnusableError
    return kind(
        f"{_name(version)} answered {fetched.status}; {where}.",
        fix="Look into the model server's log; the recorded deployment may name the wrong path.",
        inference_id=request.inference_id,
    )


def _name(version: ServableVersion) -> str:
    return f"The endpoint of {version.version.model}/{version.version.number} at {version.endpoint.url}"
