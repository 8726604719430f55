"""Transition requests and the decisions about them, in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from modelyard_events.values import Endpoint, Stage
from modelyard_runtime.access.permissions import Role
from modelyard_runtime.access.principals import Identity
from modelyard_runtime.problems import NotFoundError

from modelyard_registry.approvals.bound import Bound
from modelyard_registry.approvals.domain import (
    Decision,
    DecisionKind,
    ProposedDeployment,
    RequestState,
    TransitionRequest,
)
from modelyard_registry.policies.domain import Apply
from modelyard_registry.transactions.database import Connection

_REQUESTS = """
SELECT r.id, r.project, r.registered_model_id, r.version_id, m.name AS model, v.number, r.from_stage, r.to_stage,
       r.replaces, r.reason, r.state, r.approvals_needed, r.role, r.apply, r.bound, r.verdicts, r.requested_at,
       r.requested_by, r.expires_at, r.ended_at, r.ended_by, r.end_comment, r.deployment, r.revision, r.requester
FROM transition_requests r
JOIN registered_models m ON m.id = r.registered_model_id
JOIN model_versions v ON v.id = r.version_id
"""
INSERT_REQUEST = """
INSERT INTO transition_requests (
    id, project, registered_model_id, version_id, from_stage, to_stage, replaces, reason, state, approvals_needed,
    role, apply, bound, verdicts, requested_at, requested_by, expires_at, deployment, requester
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
"""
FIND_REQUEST = f"{_REQUESTS} WHERE r.project = $1 AND r.id = $2"
FIND_OPEN = f"{_REQUESTS} WHERE r.version_id = $1 AND r.to_stage = $2 AND r.state IN ('pending', 'approved')"
# What is open and past its time shows as expired, whether or not somebody has written that down yet.
LIST_REQUESTS = f"""
{_REQUESTS}
WHERE r.project = $1 AND ($2::uuid IS NULL OR r.id < $2)
  AND ($3::text IS NULL OR m.name = $3) AND ($4::integer IS NULL OR v.number = $4)
  AND ($5::text IS NULL OR r.to_stage = $5) AND ($6::text IS NULL OR r.requested_by = $6)
  AND ($7::text IS NULL OR $7 = CASE
      WHEN r.state IN ('pending', 'approved') AND r.expires_at <= $8 THEN 'expired' ELSE r.state END)
  AND (NOT $10::boolean OR (r.state IN ('pending', 'approved') AND r.expires_at > $8))
ORDER BY r.id DESC LIMIT $9
"""
LIST_DUE = f"""
{_REQUESTS} WHERE r.state IN ('pending', 'approved') AND r.expires_at <= $1 ORDER BY r.expires_at LIMIT $2
"""
LIST_DECISIONS = """
SELECT request_id, actor, decision, comment, decided_at, decider FROM transition_decisions
WHERE request_id = ANY($1) ORDER BY decided_at, actor
"""
INSERT_DECISION = """
INSERT INTO transition_decisions (request_id, actor, decision, comment, decided_at, decider)
VALUES ($1, $2, $3, $4, $5, $6)
"""
SAVE_STATE = """
UPDATE transition_requests SET state = $2, ended_at = $3, ended_by = $4, end_comment = $5, revision = revision + 1
WHERE id = $1
"""


class TransitionRequestNotFoundError(NotFoundError):
    """The project has no such transition request."""

    code = "transition-request-not-found"
    when = "The project has no transition request of this id."
    fix = "List them with GET /api/v1/projects/{project}/transition-requests."


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which requests are asked for; None asks for any."""

    model: str | None = None
    number: int | None = None
    to_stage: Stage | None = None
    requested_by: str | None = None
    state: RequestState | None = None


async def insert_request(connection: Connection, request: TransitionRequest) -> None:
    """Write a new request; the caller holds the model's lock, and has seen that none is open."""
    await connection.execute(
        INSERT_REQUEST,
        request.id,
        request.project,
        request.registered_model_id,
        request.version_id,
        request.from_stage,
        request.to_stage,
        request.replaces,
        request.reason,
        request.state,
        request.approvals_needed,
        request.role,
        request.apply,
        request.bound.document(),
        list(request.verdicts),
        request.requested_at,
        request.requested_by,
        request.expires_at,
        None if request.deployment is None else request.deployment.document(),
        None if request.requester is None else asdict(request.requester),
    )


async def get_request(connection: Connection, *, project: str, request_id: UUID) -> TransitionRequest:
    """The request with its decisions. Raises TransitionRequestNotFoundError."""
    row = await connection.fetchrow(FIND_REQUEST, project, request_id)
    if row is None:
        raise TransitionRequestNotFoundError(
            f"The project {project} has no transition request {request_id}.",
            fix=f"GET /api/v1/projects/{project}/transition-requests lists those that there are.",
        )
    [request] = await _with_decisions(connection, [row])
    return request


async def find_open_request(connection: Connection, *, version_id: UUID, to_stage: Stage) -> TransitionRequest | None:
    """The request for this move that nobody has ended."""
    row = await connection.fetchrow(FIND_OPEN, version_id, to_stage)
    return (await _with_decisions(connection, [row]))[0] if row else None


async def list_requests(
    connection: Connection,
    wanted: Filter,
    *,
    project: str,
    before: UUID | None,
    now: datetime,
    limit: int,
    is_open: bool = False,
) -> Sequence[TransitionRequest]:
    """Requests from the newest to the oldest, those made before `before`; with `is_open` only those not ended."""
    rows = await connection.fetch(
        LIST_REQUESTS,
        project,
        before,
        wanted.model,
        wanted.number,
        wanted.to_stage,
        wanted.requested_by,
        wanted.state,
        now,
        limit,
        is_open,
    )
    return await _with_decisions(connection, rows)


async def list_due(connection: Connection, *, now: datetime, limit: int) -> Sequence[TransitionRequest]:
    """Open requests whose time is over, of all projects."""
    return await _with_decisions(connection, await connection.fetch(LIST_DUE, now, limit))


async def insert_decision(connection: Connection, decision: Decision, *, request_id: UUID) -> None:
    """Write what an approver said; the caller holds the model's lock."""
    await connection.execute(
        INSERT_DECISION,
        request_id,
        decision.actor,
        decision.kind,
        decision.comment,
        decision.decided_at,
        None if decision.decider is None else asdict(decision.decider),
    )


async def save_state(
    connection: Connection,
    request: TransitionRequest,
    state: RequestState,
    *,
    ended_at: datetime | None = None,
    ended_by: str | None = None,
    comment: str | None = None,
) -> None:
    """Keep where the request stands now; the caller holds the model's lock."""
    await connection.execute(SAVE_STATE, request.id, state, ended_at, ended_by, comment)


async def _with_decisions(connection: Connection, rows: Sequence[asyncpg.Record]) -> list[TransitionRequest]:
    if not rows:
        return []
    decisions: dict[UUID, list[Decision]] = {row["id"]: [] for row in rows}
    for row in await connection.fetch(LIST_DECISIONS, list(decisions)):
        decision = Decision(
            actor=row["actor"],
            kind=DecisionKind(row["decision"]),
            comment=row["comment"],
            decided_at=row["decided_at"],
            decider=_identity_of(row["decider"]),
        )
        decisions[row["request_id"]].append(decision)
    return [_request_of(row, decisions=tuple(decisions[row["id"]])) for row in rows]


def _identity_of(document: dict[str, Any] | None) -> Identity | None:
    return None if document is None else Identity(**{**document, "issuers": tuple(document["issuers"])})


def _request_of(row: asyncpg.Record, *, decisions: tuple[Decision, ...]) -> TransitionRequest:
    values: dict[str, Any] = dict(row)
    values["from_stage"] = Stage(values["from_stage"])
    values["to_stage"] = Stage(values["to_stage"])
    values["state"] = RequestState(values["state"])
    values["role"] = Role(values["role"])
    values["apply"] = Apply(values["apply"])
    values["bound"] = Bound(**values["bound"])
    values["verdicts"] = tuple(values["verdicts"])
    values["requester"] = _identity_of(values["requester"])
    proposed = values["deployment"]
    values["deployment"] = proposed and ProposedDeployment(
        endpoint=Endpoint.model_validate(proposed["endpoint"]),
        health=proposed["health"],
        skip_probe_reason=proposed.get("skip_probe_reason"),
    )
    return TransitionRequest(**values, decisions=decisions)
