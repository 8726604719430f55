"""Checks of versions in PostgreSQL."""

from collections.abc import Mapping
from uuid import UUID

import asyncpg

from modelyard_registry.checks.domain import Check, CheckKind, CheckOutcome
from modelyard_registry.transactions.database import Connection

_COLUMNS = "id, kind, outcome, digest, report_url, report_digest, details, recorded_at, recorded_by"

INSERT_CHECK = f"""
INSERT INTO version_checks (version_id, {_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
LIST_CHECKS = f"""
SELECT {_COLUMNS} FROM version_checks WHERE version_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
"""
NEWEST_CHECKS = f"""
SELECT DISTINCT ON (kind) {_COLUMNS} FROM version_checks WHERE version_id = $1 AND digest = $2 ORDER BY kind, id DESC
"""
COUNT_CHECKS = "SELECT count(*) FROM version_checks WHERE version_id = $1"


async def insert_check(connection: Connection, check: Check, *, version_id: UUID) -> None:
    """Write what was found; the caller holds the model's lock."""
    await connection.execute(
        INSERT_CHECK,
        version_id,
        check.id,
        check.kind,
        check.outcome,
        check.digest,
        check.report_url,
        check.report_digest,
        check.details,
        check.recorded_at,
        check.recorded_by,
    )


async def count_checks(connection: Connection, *, version_id: UUID) -> int:
    """How many checks the version has."""
    return int(await connection.fetchval(COUNT_CHECKS, version_id))


async def list_checks(connection: Connection, *, version_id: UUID, before: UUID | None, limit: int) -> list[Check]:
    """Some checks of a version, newest first."""
    return [_check(row) for row in await connection.fetch(LIST_CHECKS, version_id, before, limit)]


async def newest_checks(connection: Connection, *, version_id: UUID, digest: str) -> Mapping[str, Check]:
    """The newest check of each kind, of exactly this artifact."""
    return {row["kind"]: _check(row) for row in await connection.fetch(NEWEST_CHECKS, version_id, digest)}


def _check(row: asyncpg.Record) -> Check:
    values = {**dict(row), "kind": CheckKind(row["kind"]), "outcome": CheckOutcome(row["outcome"])}
    return Check(**values)
