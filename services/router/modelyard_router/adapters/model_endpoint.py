"""Model endpoints: ask one for a prediction, within its deadline, and believe only what makes sense."""

import asyncio
from collections.abc import Sequence

from modelyard_events.inferences import RequestedOutput
from modelyard_events.values import Tensor
from modelyard_routing.decision import ServableVersion
from modelyard_runtime.errors import PermanentError
from modelyard_runtime.fetch import Fetched, Fetcher, FetchFailedError, FetchTimeoutError
from modelyard_runtime.state_tail import Seconds

from modelyard_router.domain.breaker import Breakers
from modelyard_router.domain.open_inference import (
    InferenceAnswer,
    NonsenseError,
    inference_answer_of,
    inference_body,
)
from modelyard_router.problems import (
    EndpointFailureError,
    EndpointNonsenseError,
    EndpointPausedError,
    EndpointRefusedInputsError,
    EndpointTimeoutError,
)

ATTEMPTS_MAX = 2
EXCERPT_CHARACTERS_MAX = 300
HEADERS = {"content-type": "application/json"}
REFUSED_INPUTS = frozenset({400, 422})


class ModelEndpoints:
    """The endpoints of all versions, each with a breaker of its own that a changed endpoint starts anew."""

    def __init__(self, fetcher: Fetcher, *, breakers: Breakers, seconds: Seconds) -> None:
        self._fetcher = fetcher
        self._breakers = breakers
        self._seconds = seconds

    async def ask(
        self,
        version: ServableVersion,
        tensors: Sequence[Tensor],
        *,
        outputs: Sequence[RequestedOutput] = (),
        inference_id: str,
    ) -> InferenceAnswer:
        """The version's answer; the endpoint is told which outputs are wanted, if not all are.

        Raises EndpointRefusedInputsError when the caller must act, else an EndpointFailureError.
        """
        key = (version.version.version_id, version.endpoint.revision)
        if not self._breakers.permits(key, now_s=self._seconds()):
            raise EndpointPausedError(
                f"{_name(version)} failed repeatedly and is not asked at the moment.",
                fix="Try again in a few seconds; the operators find the cause in the model server's log.",
            )
        try:
            answer = await self._ask(version, inference_body(tensors, outputs=outputs, inference_id=inference_id))
        except EndpointFailureError:
            self._breakers.failed(key, now_s=self._seconds())
            raise
        except EndpointRefusedInputsError:
            self._breakers.succeeded(key)
            raise
        self._breakers.succeeded(key)
        return answer

    async def _ask(self, version: ServableVersion, body: bytes) -> InferenceAnswer:
        try:
            fetched = await self._fetch(version, body)
        except FetchTimeoutError as error:
            raise EndpointTimeoutError(
                f"{_name(version)} did not answer within {version.endpoint.timeout_s:g} s.",
                fix="Try again; if it stays slow, raise the timeout of the deployment or scale the model server.",
            ) from error
        except (FetchFailedError, PermanentError) as error:
            raise EndpointFailureError(
                f"{_name(version)} could not be asked: {error}.",
                fix="Check that the model server runs at the endpoint of the recorded deployment.",
            ) from error
        excerpt = fetched.body[:EXCERPT_CHARACTERS_MAX].decode(errors="replace")
        if fetched.status in REFUSED_INPUTS:
            raise EndpointRefusedInputsError(
                f"{_name(version)} refused the inputs: {excerpt}",
                fix="Send the inputs that the version declares, in their datatypes and shapes.",
            )
        if fetched.status != 200:
            raise EndpointFailureError(
                f"{_name(version)} answered {fetched.status}: {excerpt}",
                fix="Look into the model server's log; the recorded deployment may name the wrong path.",
            )
        try:
            return inference_answer_of(fetched.body)
        except NonsenseError as error:
            raise EndpointNonsenseError(
                f"{_name(version)} gave an answer that is not one of the Open Inference Protocol: {error}.",
                fix="Point the deployment at an endpoint that speaks open-inference-v2.",
            ) from error

    async def _fetch(self, version: ServableVersion, body: bytes) -> Fetched:
        """Ask; once more when the connection failed, which a prediction allows: it changes nothing."""
        endpoint = version.endpoint
        try:
            async with asyncio.timeout(endpoint.timeout_s):
                for attempt in range(1, ATTEMPTS_MAX + 1):
                    try:
                        return await self._fetcher.fetch(
                            "POST", endpoint.url, timeout_s=endpoint.timeout_s, body=body, headers=HEADERS
                        )
                    except FetchFailedError:
                        if attempt == ATTEMPTS_MAX:
                            raise
        except TimeoutError as error:
            raise FetchTimeoutError(f"no answer within {endpoint.timeout_s:g} s") from error
        raise AssertionError("the last attempt returns or raises")


def _name(version: ServableVersion) -> str:
    return f"The endpoint of {version.version.model}/{version.version.number} at {version.endpoint.url}"
