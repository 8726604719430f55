"""What transition requests are bound to, as it is at this moment: for one under the lock, or for a list without it."""

import json
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

import asyncpg
from modelyard_events.values import Endpoint
from pydantic import BaseModel

from modelyard_registry.approvals.bound import ARTIFACTS, Bound, Changes, changes
from modelyard_registry.approvals.domain import OPEN, TransitionRequest
from modelyard_registry.models.store import VERSION_COLUMNS, version_of
from modelyard_registry.routes.champion_history import CHAMPION
from modelyard_registry.routes.domain import ROUTED_ENVIRONMENT
from modelyard_registry.transactions.database import Connection

_BESIDE = (
    "endpoint",
    "project_policy_revision",
    "model_policy_revision",
    "champion",
    "attached",
    "checks",
)
PRESENT = f"""
SELECT {VERSION_COLUMNS}, d.endpoint,
       coalesce((SELECT p.revision FROM project_policies p WHERE p.project = m.project), 0) AS project_policy_revision,
       coalesce((SELECT p.revision FROM model_policies p WHERE p.registered_model_id = m.id), 0)
           AS model_policy_revision,
       (SELECT o.name || '/' || a.number FROM registered_models o
        JOIN aliases a ON a.registered_model_id = o.id AND a.alias = '{CHAMPION}'
        WHERE o.project = m.project AND o.model_type = m.model_type AND o.scope = m.scope
          AND o.industry IS NOT DISTINCT FROM m.industry AND o.tenant IS NOT DISTINCT FROM m.tenant
        ORDER BY o.id = m.id DESC, o.name LIMIT 1) AS champion,
       (SELECT jsonb_object_agg(t.name, t.digest) FROM version_artifacts t WHERE t.version_id = v.id) AS attached,
       (SELECT jsonb_object_agg(c.kind, c.outcome) FROM (
            SELECT DISTINCT ON (kind) kind, outcome FROM version_checks
            WHERE version_id = v.id AND digest = v.digest ORDER BY kind, id DESC) c) AS checks
FROM model_versions v JOIN registered_models m ON m.id = v.registered_model_id
LEFT JOIN deployments d ON d.version_id = v.id AND d.environment = '{ROUTED_ENVIRONMENT}'
WHERE v.id = ANY($1)
"""


async def present_bound(connection: Connection, *, version_id: UUID) -> Bound:
    """Everything that people look at when they agree, as it is now; the caller holds the lock of the slot."""
    return (await _present(connection, [version_id]))[version_id]


async def changes_since(connection: Connection, requests: Sequence[TransitionRequest]) -> Mapping[UUID, Changes]:
    """What has changed since each of these requests was made; closed ones, and unchanged ones, are left out."""
    waiting = [request for request in requests if request.state in OPEN]
    present = await _present(connection, {request.version_id for request in waiting}) if waiting else {}
    found = {request.id: changes(request.bound, present[request.version_id]) for request in waiting}
    return {request_id: changed for request_id, changed in found.items() if changed}


def digest_of(said_of_version: BaseModel) -> str:
    """The SHA-256 of what is said about a version; what is left unsaid does not count, so that fields may be added."""
    return _digest(said_of_version.model_dump(mode="json", exclude_defaults=True))


async def _present(connection: Connection, version_ids: Collection[UUID]) -> dict[UUID, Bound]:
    return {row["id"]: _bound_of(row) for row in await connection.fetch(PRESENT, list(version_ids))}


def _bound_of(row: asyncpg.Record) -> Bound:
    version = version_of({name: value for name, value in row.items() if name not in _BESIDE})
    endpoint = None if row["endpoint"] is None else Endpoint.model_validate(row["endpoint"])
    said = version.facts.model_dump(mode="json", exclude_defaults=True)
    attached: dict[str, str] = row["attached"] or {}
    return Bound(
        stage=version.stage,
        digest=version.digest,
        evidence_sha256=digest_of(version.evidence),
        facts_sha256=digest_of(version.facts),
        endpoint_url=None if endpoint is None else endpoint.url,
        endpoint_revision=None if endpoint is None else endpoint.revision,
        project_policy_revision=row["project_policy_revision"],
        model_policy_revision=row["model_policy_revision"],
        champion=row["champion"],
        said={
            **{name: _digest(value) for name, value in sorted(said.items())},
            **{f"{ARTIFACTS}{name}": digest for name, digest in sorted(attached.items())},
        },
        checks=row["checks"] or {},
    )


def _digest(said: Any) -> str:
    return sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
