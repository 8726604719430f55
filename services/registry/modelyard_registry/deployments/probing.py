"""Asking an endpoint that would get traffic at once: by a rollback, or by a change of a served version's endpoint.

It is asked before anything is locked, and judged under the lock. Whoever must go on without an answer, at night and
with the network down, says why; the reason is kept in the audit log.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from modelyard_events.limits import REASON_CHARS_MAX
from modelyard_events.values import Endpoint
from modelyard_runtime.problems import ConflictError
from pydantic import Field, StringConstraints

from modelyard_registry.api import Services
from modelyard_registry.deployments.probe import Probe, ask_endpoint, verdict_of
from modelyard_registry.policies.domain import EffectivePolicy

SkipProbeReason = Annotated[
    Annotated[str, StringConstraints(min_length=1, max_length=REASON_CHARS_MAX)] | None,
    Field(description="Why the endpoint is not asked for an answer first; kept in the audit log. Absent: it is asked."),
]


class EndpointDoesNotAnswerError(ConflictError):
    """Traffic would go to an endpoint that does not answer."""

    code = "endpoint-does-not-answer"
    when = "A rollback or a change of an endpoint would send traffic to an endpoint that does not answer."
    fix = "Make the endpoint answer; or send `skip_probe_reason`, which is kept in the audit log, to go on without it."


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointProbe:
    """What an endpoint said just now, or why nobody is to ask it. `is_on` is false where operators switched it off."""

    is_on: bool = True
    probe: Probe | None = None
    skip_reason: str | None = None

    def judge(self, endpoint: Endpoint | None, *, policy: EffectivePolicy) -> Mapping[str, Any]:
        """What the audit log keeps about it. Raises EndpointDoesNotAnswerError unless the endpoint answers.

        `endpoint` is the one under the lock; without one, and where policy waives the answer, nothing is demanded.
        """
        if self.skip_reason is not None:
            return {"skip_probe_reason": self.skip_reason}
        if not self.is_on or endpoint is None or not policy.probe:
            return {}
        verdict = verdict_of(self.probe, endpoint)
        if not verdict.passed:
            raise EndpointDoesNotAnswerError(
                f"{endpoint.url} does not answer as it should: {verdict.reason}",
                fix="Make it answer; or send `skip_probe_reason`, which is kept in the audit log, to go on without it.",
                verdict={"gate": verdict.gate, "reason": verdict.reason, "evidence": verdict.evidence},
            )
        return {"endpoint_answers": verdict.reason}


SWITCHED_OFF = EndpointProbe(is_on=False)
NOT_ASKED = EndpointProbe()
"""The endpoint was not asked: a change that demands an answer is refused."""


async def probe_endpoint(services: Services, endpoint: Endpoint, *, owner: str) -> EndpointProbe:
    """Ask this endpoint on behalf of the project `owner`, unless operators switched that off."""
    if not services.probes_endpoints:
        return SWITCHED_OFF
    return EndpointProbe(probe=await ask_endpoint(services.outbound, endpoint, owner=owner))
