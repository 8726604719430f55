"""Whether audit entries are still those that were written: every hash computed anew, every link looked at.

Each entry is judged alone: by its own hash, by the entry before it about the same subject, and by the entry after it
or the recorded end of its chain. So a walk can stop anywhere and go on later, and one of a month finds what is wrong
in that month.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import asyncpg
from modelyard_events.audit_chain import hash_of_entry

from modelyard_registry.transactions.audit_entries import AuditEntry
from modelyard_registry.transactions.database import Connection

LINKS_AT_ONCE = 200
LINKS_MAX = 10_000
"""No more entries are looked at for one request: it takes a second or two, and holds nobody up."""
BREAKS_MAX = 100

_FILTERS = """
place IS NOT NULL AND ($1::text IS NULL OR project = $1) AND ($2::text IS NULL OR subject = $2)
AND ($3::text IS NULL OR (project, subject, place) > ($3, $4::text, $5::bigint))"""
_IN_TIME = """
AND ($7::timestamptz IS NULL OR recorded_at >= $7) AND ($8::timestamptz IS NULL OR recorded_at < $8)"""
_LINKS = """
WITH looked_at AS (
    SELECT * FROM audit_entries WHERE {filters} ORDER BY project, subject, place LIMIT $6
)
SELECT e.id, e.project, e.actor, e.action, e.subject, e.recorded_at, e.before, e.after, e.reason, e.digest,
       e.request_id, e.previous_hash, e.place, e.hash, p.hash AS hash_before, p.id IS NOT NULL AS has_before,
       n.id IS NOT NULL AS has_next, c.place AS end_place, c.hash AS end_hash,
       n.id IS NULL AND EXISTS (
           SELECT 1 FROM audit_entries l WHERE l.project = e.project AND l.subject = e.subject AND l.place > e.place
       ) AS has_later
FROM looked_at e
LEFT JOIN audit_entries p ON p.project = e.project AND p.subject = e.subject AND p.place = e.place - 1
LEFT JOIN audit_entries n ON n.project = e.project AND n.subject = e.subject AND n.place = e.place + 1
LEFT JOIN audit_chains c ON c.project = e.project AND c.subject = e.subject
ORDER BY e.project, e.subject, e.place
"""
LINKS = _LINKS.format(filters=_FILTERS)
LINKS_IN_TIME = _LINKS.format(filters=_FILTERS + _IN_TIME)

UNCHAINED = """
SELECT count(*) FROM audit_entries
WHERE place IS NULL AND ($1::text IS NULL OR project = $1) AND ($2::text IS NULL OR subject = $2)
AND ($3::timestamptz IS NULL OR recorded_at >= $3) AND ($4::timestamptz IS NULL OR recorded_at < $4)"""

EMPTIED = """
SELECT project, subject, place FROM audit_chains c
WHERE place > 0 AND ($1::text IS NULL OR project = $1) AND ($2::text IS NULL OR subject = $2) AND NOT EXISTS (
    SELECT 1 FROM audit_entries e WHERE e.project = c.project AND e.subject = c.subject AND e.place IS NOT NULL
) ORDER BY project, subject LIMIT $3"""

IS_KNOWN = """
SELECT EXISTS (SELECT 1 FROM audit_chains WHERE project = $1 AND subject = $2)
    OR EXISTS (SELECT 1 FROM audit_entries WHERE project = $1 AND subject = $2)"""

Position = tuple[str, str, int]
"""Project, subject and place of the entry that was looked at last."""
Reading = Callable[[], AbstractAsyncContextManager[Connection]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """Where a chain is broken: `entry_id` is None when what is wrong is missing."""

    project: str
    subject: str
    place: int
    entry_id: UUID | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Which entries are looked at: of all projects or one, of all subjects or exactly one, recorded at some time.

    `after` is where the walk before this one stopped.
    """

    project: str | None
    subject: str | None = None
    recorded_from: datetime | None = None
    recorded_until: datetime | None = None
    after: Position | None = None

    @property
    def is_of_all_times(self) -> bool:
        """Whether entries of all times are looked at."""
        return self.recorded_from is None and self.recorded_until is None


@dataclass(slots=True, kw_only=True)
class Verified:
    """What a walk has found. `last_hash` is that of the last entry that holds; `stopped_at` is None at the end.

    `unchained` entries are older than the chains; they are counted when a walk begins.
    """

    entries: int = 0
    unchained: int = 0
    last_hash: str | None = None
    breaks: list[Break] = field(default_factory=list)
    stopped_at: Position | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    entry: AuditEntry
    place: int
    own_hash: str
    hash_before: str | None
    has_before: bool
    has_next: bool
    has_later: bool
    end_place: int | None
    end_hash: str | None


async def verify(reading: Reading, walk: Walk, *, links_max: int = LINKS_MAX) -> Verified:
    """Look at the entries of a walk, as many as one request may, and go on to the end or up to a hundred breaks.

    No connection is held between the statements. The walk of one subject ends at its first break.
    """
    found = Verified()
    if walk.after is None:
        found.unchained = await _count_unchained(reading, walk)
    looked_at = 0
    async for link in _links(reading, walk):
        if looked_at == links_max or len(found.breaks) >= BREAKS_MAX:
            return found
        looked_at += 1
        found.stopped_at = (link.entry.project, link.entry.subject, link.place)
        broken = _why_broken(link)
        if broken is None or broken.entry_id is None:
            found.entries, found.last_hash = found.entries + 1, link.own_hash
        if broken is not None and not _is_known(broken, found.breaks):
            found.breaks.append(broken)
        if broken is not None and walk.subject is not None:
            break
    found.stopped_at = None
    if walk.is_of_all_times and not (walk.subject and found.breaks):
        found.breaks += await _emptied(reading, walk)
    return found


async def is_subject(connection: Connection, *, project: str, subject: str) -> bool:
    """Whether anything was ever recorded about exactly this subject."""
    return bool(await connection.fetchval(IS_KNOWN, project, subject))


async def _links(reading: Reading, walk: Walk) -> AsyncIterator[_Link]:
    """Page by page, each by a statement of its own: what is written meanwhile holds as well."""
    after = walk.after
    while True:
        arguments = (walk.project, walk.subject, *(after or (None, None, None)), LINKS_AT_ONCE)
        async with reading() as connection:
            rows = (
                await connection.fetch(LINKS, *arguments)
                if walk.is_of_all_times
                else await connection.fetch(LINKS_IN_TIME, *arguments, walk.recorded_from, walk.recorded_until)
            )
        for row in rows:
            yield _link_of(row)
        if len(rows) < LINKS_AT_ONCE:
            return
        after = (rows[-1]["project"], rows[-1]["subject"], rows[-1]["place"])


def _link_of(row: asyncpg.Record) -> _Link:
    values = dict(row)
    beside = ("place", "hash_before", "has_before", "has_next", "has_later", "end_place", "end_hash")
    link = {name: values.pop(name) for name in beside}
    own_hash = values.pop("hash")
    return _Link(entry=AuditEntry(**values), own_hash=own_hash, **link)


def _why_broken(link: _Link) -> Break | None:
    if hash_of_entry(link.entry.event()) != link.own_hash:
        return _break(link, link.place, "It is not what its hash was computed of.", own=True)
    if link.place > 1 and not link.has_before:
        return _break(link, link.place - 1, f"The entry at place {link.place - 1} is missing.")
    if link.entry.previous_hash != link.hash_before:
        return _break(link, link.place, "It does not carry the hash of the entry before it.", own=True)
    if link.has_next or (link.end_place, link.end_hash) == (link.place, link.own_hash):
        return None
    if link.has_later:
        return _break(link, link.place + 1, f"The entry at place {link.place + 1} is missing.")
    if link.end_place is not None and link.end_place > link.place:
        return _break(link, link.place + 1, f"The chain has {link.end_place} entries, {link.place} are left.")
    return _break(link, link.place, "It is not the one with which its chain ends.", own=True)


def _break(link: _Link, place: int, reason: str, *, own: bool = False) -> Break:
    entry = link.entry
    return Break(
        project=entry.project, subject=entry.subject, place=place, entry_id=entry.id if own else None, reason=reason
    )


def _is_known(broken: Break, breaks: list[Break]) -> bool:
    """Whether the entry on the other side of a gap has told of it already."""
    return any(
        (each.project, each.subject, each.place) == (broken.project, broken.subject, broken.place)
        for each in breaks[-2:]
    )


async def _count_unchained(reading: Reading, walk: Walk) -> int:
    async with reading() as connection:
        count: int = await connection.fetchval(
            UNCHAINED, walk.project, walk.subject, walk.recorded_from, walk.recorded_until
        )
    return count


async def _emptied(reading: Reading, walk: Walk) -> list[Break]:
    """The chains of which no entry is left."""
    async with reading() as connection:
        rows = await connection.fetch(EMPTIED, walk.project, walk.subject, BREAKS_MAX)
    return [
        Break(
            project=row["project"],
            subject=row["subject"],
            place=1,
            entry_id=None,
            reason=f"The chain has {row['place']} entries, 0 are left.",
        )
        for row in rows
    ]
