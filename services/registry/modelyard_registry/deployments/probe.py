"""Asking an endpoint whether something answers there, before the version gets traffic.

What the endpoint sends is judged here and shown to nobody: its status and a short reason are all that leaves.
"""

import json
from dataclasses import dataclass

from modelyard_events.values import Datatype, Endpoint
from modelyard_runtime.errors import PermanentError, TransientError
from modelyard_runtime.fetch import Fetched, Fetcher, FetchRefusedError, FetchTimeoutError

from modelyard_registry.gates.domain import Verdict

GATE = "endpoint_answers"
PROBE_TIMEOUT_S_MAX = 10.0
"""However patient the deployment is: a person waits for the move."""

ANSWER_BYTES_MAX = 1024 * 1024
INFER = "/infer"
HEADERS = {"content-type": "application/json", "accept": "application/json"}
NOT_SERVED = frozenset({404, 405, 501})
LOOKED_AT = frozenset({400, 422})
"""What an endpoint says that has looked at a request without inputs: there is a model behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What became of asking `endpoint`: whether it answers, why in words, and its status if there was one."""

    endpoint: Endpoint
    answers: bool
    reason: str
    status: int | None = None


def verdict_of(probe: Probe | None, endpoint: Endpoint) -> Verdict:
    """The verdict about `endpoint` as it is under the lock; it fails when another one was asked, or none."""
    if probe is None or probe.endpoint != endpoint:
        return _say(endpoint, passed=False, reason="The endpoint changed while it was asked: try again.")
    return _say(endpoint, passed=probe.answers, reason=probe.reason, status=probe.status)


async def ask_endpoint(fetcher: Fetcher, endpoint: Endpoint, *, owner: str) -> Probe:
    """Ask the endpoint for an answer to zeros; without declared inputs whether its model is ready. Never fails.

    `owner` is the project on whose behalf it is asked.
    """
    try:
        if endpoint.inputs:
            return _judge_answer(endpoint, await _post(fetcher, endpoint, owner=owner))
        return await _ask_without_inputs(fetcher, endpoint, owner=owner)
    except FetchRefusedError:
        return Probe(endpoint=endpoint, answers=False, reason="Services may not ask this address.")
    except FetchTimeoutError:
        return Probe(endpoint=endpoint, answers=False, reason=f"No answer within {_timeout_s(endpoint):g} s.")
    except (TransientError, PermanentError):
        return Probe(endpoint=endpoint, answers=False, reason="Nothing answers there as a model server does.")


async def _ask_without_inputs(fetcher: Fetcher, endpoint: Endpoint, *, owner: str) -> Probe:
    if endpoint.url.endswith(INFER):
        ready_url = endpoint.url.removesuffix(INFER) + "/ready"
        ready = await fetcher.fetch(
            "GET", ready_url, timeout_s=_timeout_s(endpoint), bytes_max=ANSWER_BYTES_MAX, owner=owner
        )
        if ready.status not in NOT_SERVED:
            reason = f"Asked whether the model is ready, it answered {ready.status}."
            return Probe(endpoint=endpoint, answers=ready.status == 200, reason=reason, status=ready.status)
    answer = await _post(fetcher, endpoint, owner=owner)
    if answer.status in LOOKED_AT:
        reason = f"It answered {answer.status} to a request without inputs: it looks at requests."
        return Probe(endpoint=endpoint, answers=True, reason=reason, status=answer.status)
    return _judge_answer(endpoint, answer)


async def _post(fetcher: Fetcher, endpoint: Endpoint, *, owner: str) -> Fetched:
    tensors = [
        {"name": each.name, "shape": [1, 1], "datatype": each.datatype, "data": [zero_of(each.datatype)]}
        for each in endpoint.inputs
    ]
    return await fetcher.fetch(
        "POST",
        endpoint.url,
        timeout_s=_timeout_s(endpoint),
        body=json.dumps({"id": "probe", "inputs": tensors}).encode(),
        headers=HEADERS,
        bytes_max=ANSWER_BYTES_MAX,
        owner=owner,
    )


def zero_of(datatype: Datatype) -> bool | int | float | str:
    """The plainest value of a datatype."""
    if datatype == "BOOL":
        return False
    if datatype == "BYTES":
        return ""
    return 0.0 if datatype.startswith("FP") else 0


def _judge_answer(endpoint: Endpoint, answer: Fetched) -> Probe:
    asked = "a request without inputs" if not endpoint.inputs else f"zeros for its {len(endpoint.inputs)} inputs"
    reason = f"It answered {answer.status} to {asked}."
    if answer.status == 200 and not _has_outputs(answer.body):
        reason = f"It answered 200 to {asked}, with what is no answer of the Open Inference Protocol."
        return Probe(endpoint=endpoint, answers=False, reason=reason, status=200)
    return Probe(endpoint=endpoint, answers=answer.status == 200, reason=reason, status=answer.status)


def _has_outputs(body: bytes) -> bool:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and isinstance(document.get("outputs"), list)


def _timeout_s(endpoint: Endpoint) -> float:
    return min(endpoint.timeout_s, PROBE_TIMEOUT_S_MAX)


def _say(endpoint: Endpoint, *, passed: bool, reason: str, status: int | None = None) -> Verdict:
    if not passed:
        reason += " A policy with `probe: false` lets versions on without being asked."
    evidence = {"url": endpoint.url, "endpoint_revision": endpoint.revision, "status": status}
    return Verdict(gate=GATE, passed=passed, reason=reason, evidence=evidence)
