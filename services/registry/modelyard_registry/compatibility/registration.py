"""Registering a version as other registries do it: the artifact may be missing.

What is known instead, the request itself, becomes the artifact, of the format `metadata`: it is proved by its
digest like any other, and nothing can be served from it.
"""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from modelyard_events.reported import ReportedEvidence
from modelyard_events.values import Evidence, Scope
from modelyard_runtime.problems import invalid_fields
from pydantic import ValidationError

from modelyard_registry.api import Call
from modelyard_registry.artifact_inspection.findings import Inspection
from modelyard_registry.artifact_stores.ports import ArtifactStore
from modelyard_registry.artifacts.formats import METADATA
from modelyard_registry.artifacts.handlers import record_file
from modelyard_registry.compatibility.documents import NewModel
from modelyard_registry.compatibility.vocabulary import tags_from
from modelyard_registry.models.domain import ModelVersion, RegisteredModel, SemanticVersion
from modelyard_registry.registration.command import RegisterModelVersion
from modelyard_registry.registration.handlers import register_version
from modelyard_registry.transactions import Transaction

METADATA_BYTES_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """A request that stands in for an artifact: kept by the store, under its digest."""

    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Registering:
    """What is to be registered. `artifact` is the digest of an uploaded one, or the request in its stead."""

    project: str
    model: str
    artifact: str | Metadata
    semver: SemanticVersion | None
    run_id: str | None
    evidence: Evidence


def in_project(call: Call, project: str) -> Call:
    """The call as one in that project: its idempotency key must not reach the same path in another project."""
    return replace(call, address=f"{call.address} in {project}")


def evidence_of(**facts: Any) -> ReportedEvidence:
    """The evidence that another API's body amounts to. Raises InvalidRequestError when it is beyond the bounds."""
    try:
        return ReportedEvidence.model_validate(facts)
    except ValidationError as error:
        raise invalid_fields(error.errors(include_url=False)) from error


async def keep_metadata(artifacts: ArtifactStore, facts: Mapping[str, Any]) -> Metadata:
    """Keep `facts`, as canonical JSON, in the store: equal facts are one artifact."""
    content = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    async with artifacts.receive(_once(content), bytes_max=METADATA_BYTES_MAX) as incoming:
        await incoming.keep()
        return Metadata(digest=incoming.digest, size_bytes=incoming.size_bytes)


async def register(tx: Transaction, registering: Registering) -> ModelVersion:
    """Register the version, with the metadata as its artifact when it has no other.

    Raises what `register_version` raises.
    """
    artifact = registering.artifact
    if isinstance(artifact, Metadata):
        await record_file(
            tx,
            project=registering.project,
            digest=artifact.digest,
            size_bytes=artifact.size_bytes,
            format_name=METADATA,
            inspection=Inspection(format=METADATA, formats=frozenset({"json"})),
        )
    command = RegisterModelVersion(
        project=registering.project,
        model=registering.model,
        digest=artifact.digest if isinstance(artifact, Metadata) else artifact,
        run_id=registering.run_id,
        semver=registering.semver,
        change_type=None,
        evidence=registering.evidence,
    )
    return (await register_version(tx, command)).version


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def new_model(tx: Transaction, body: NewModel, *, project: str) -> RegisteredModel:
    """The registered model that the body asks for: global, without a primary metric."""
    return RegisteredModel(
        id=UUID(tx.new_id()),
        project=project,
        name=body.name,
        model_type=body.model_type or body.name,
        scope=Scope.GLOBAL,
        industry=None,
        tenant=None,
        description=body.description,
        owner=None,
        team=None,
        primary_metric=None,
        higher_is_better=True,
        tags=tags_from(body.tags),
        last_number=0,
        revision=1,
        created_at=tx.now,
        created_by=tx.context.actor,
        updated_at=tx.now,
        aliases={},
    )
