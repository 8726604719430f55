"""Whether the audit entries about a subject are still those that were written: the chain, link by link."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from modelyard_events.audit_chain import hash_of_entry

from modelyard_registry.audit.entries import AuditEntry
from modelyard_registry.database import Connection

LINKS_AT_ONCE = 200

CHAIN_END = "SELECT place, hash FROM audit_chains WHERE project = $1 AND subject = $2"
UNCHAINED = "SELECT count(*) FROM audit_entries WHERE project = $1 AND subject = $2 AND place IS NULL"
LINKS = """
SELECT id, project, actor, action, subject, recorded_at, before, after, reason, digest, request_id, previous_hash,
    place, hash
FROM audit_entries WHERE project = $1 AND subject = $2 AND place IS NOT NULL ORDER BY place
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """Where a chain is broken: `entry_id` is None when what is wrong is missing at its end."""

    entry_id: UUID | None
    place: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A subject's entries as they hold each other. `last_hash` proves them all; `unchained` are older than chains."""

    entries: int
    unchained: int
    last_hash: str | None
    broken: Break | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    place: int
    own_hash: str
    entry: AuditEntry


async def verify_chain(connection: Connection, *, project: str, subject: str) -> Chain:
    """Compute every hash anew, up to the first link that does not hold."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        end = await connection.fetchrow(CHAIN_END, project, subject)
        unchained: int = await connection.fetchval(UNCHAINED, project, subject)
        place, last_hash, broken = 0, None, None
        async for link in _links(connection, project=project, subject=subject):
            broken = _why_broken(link, place=place + 1, previous_hash=last_hash)
            if broken is not None:
                break
            place, last_hash = link.place, link.own_hash
    if broken is None and end is not None and (end["place"], end["hash"]) != (place, last_hash):
        broken = Break(
            entry_id=None, place=place + 1, reason=f"The chain has {end['place']} entries, {place} are left."
        )
    return Chain(entries=place, unchained=unchained, last_hash=last_hash, broken=broken)


async def _links(connection: Connection, *, project: str, subject: str) -> AsyncIterator[_Link]:
    async for row in connection.cursor(LINKS, project, subject, prefetch=LINKS_AT_ONCE):
        values = dict(row)
        place, own_hash = values.pop("place"), values.pop("hash")
        yield _Link(place=place, own_hash=own_hash, entry=AuditEntry(**values))


def _why_broken(link: _Link, *, place: int, previous_hash: str | None) -> Break | None:
    if link.place != place:
        return Break(entry_id=link.entry.id, place=place, reason=f"The entry at place {place} is missing.")
    if link.entry.previous_hash != previous_hash:
        return Break(entry_id=link.entry.id, place=place, reason="It does not carry the hash of the entry before it.")
    if hash_of_entry(link.entry.event()) != link.own_hash:
        return Break(entry_id=link.entry.id, place=place, reason="It is not what its hash was computed of.")
    return None
