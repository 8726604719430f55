"""What a transition request is bound to, taken from the situation of the moment."""

import json
from hashlib import sha256

from pydantic import BaseModel

from modelyard_registry.approvals.domain import Bound
from modelyard_registry.lifecycle.situation import Situation


def bound_of(situation: Situation) -> Bound:
    """Everything that people look at when they agree: later they have agreed to this and nothing else."""
    endpoint = None if situation.deployment is None else situation.deployment.endpoint
    champion = situation.champion
    return Bound(
        stage=situation.version.stage,
        digest=situation.version.digest,
        evidence_sha256=digest_of(situation.version.evidence),
        facts_sha256=digest_of(situation.version.facts),
        endpoint_url=None if endpoint is None else endpoint.url,
        endpoint_revision=None if endpoint is None else endpoint.revision,
        project_policy_revision=situation.policy.project.revision,
        model_policy_revision=situation.policy.model.revision,
        champion=None if champion is None else f"{champion.model}/{champion.number}",
    )


def digest_of(said_of_version: BaseModel) -> str:
    """The SHA-256 of what is said about a version; what is left unsaid does not count, so that fields may be added."""
    said = said_of_version.model_dump(mode="json", exclude_defaults=True)
    return sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
