"""Lists of transition requests by whether they are stale.

What a request is bound to is compared outside the database, so that requests are read in batches until a page is full.
A call reads so many batches at most: its page may then be short, and the next one goes on behind it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from modelyard_registry.approvals import store
from modelyard_registry.approvals.binding import changes_since
from modelyard_registry.approvals.bound import Changes
from modelyard_registry.approvals.domain import OPEN, TransitionRequest
from modelyard_registry.transactions.database import Connection

BATCH_ROWS = 200
BATCHES_MAX = 10


@dataclass(slots=True, kw_only=True)
class FoundRequests:
    """Some requests, newest first, and what has changed about the stale ones; `next_before` is None at the end."""

    requests: list[TransitionRequest] = field(default_factory=list)
    changed: dict[UUID, Changes] = field(default_factory=dict)
    next_before: UUID | None = None


async def list_by_staleness(
    connection: Connection,
    wanted: store.Filter,
    *,
    is_stale: bool,
    project: str,
    before: UUID | None,
    now: datetime,
    size: int,
) -> FoundRequests:
    """At most `size` requests that are stale, or are not, among those made before `before`."""
    found = FoundRequests(next_before=before)
    for _ in range(BATCHES_MAX):
        batch = await store.list_requests(
            connection, wanted, project=project, before=found.next_before, now=now, limit=BATCH_ROWS, is_open=is_stale
        )
        changed = await changes_since(connection, batch)
        for request in batch:
            if len(found.requests) == size:
                return found
            found.next_before = request.id
            if _is_stale(request, changed, now=now) is is_stale:
                found.requests.append(request)
                found.changed.update({request.id: changed[request.id]} if is_stale else {})
        if len(batch) < BATCH_ROWS:
            found.next_before = None
            return found
    return found


def _is_stale(request: TransitionRequest, changed: Mapping[UUID, Changes], *, now: datetime) -> bool:
    return request.id in changed and request.state_at(now) in OPEN
