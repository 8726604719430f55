"""Senders of ingest events as the registry judges them: by its own table of keys, with refusals on record.

What was found of a key counts for a second, so a revocation takes effect here within a second. A key is never
late: it is in this database before anyone can sign with it.
"""

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from modelyard_events.access import SigningKeyChanged
from modelyard_events.topics import Topic
from modelyard_runtime.clock import Clock
from modelyard_runtime.consume import RefusedSender, Senders
from modelyard_runtime.consume.senders import project_of
from modelyard_runtime.errors import TransientError

from modelyard_registry.access.handlers import audited_project
from modelyard_registry.access.refusals import Refusals, refused_event
from modelyard_registry.signing_keys import store
from modelyard_registry.signing_keys.domain import PERMISSIONS
from modelyard_registry.transactions.database import Database, DatabaseUnavailableError

FRESH_S = 1.0
REMEMBERED_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _LookedUp:
    document: SigningKeyChanged
    until_s: float


class SigningKeyTable:
    """Looks signing keys up in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._looked_up: OrderedDict[str, _LookedUp] = OrderedDict()

    async def find(self, key_id: str) -> SigningKeyChanged | None:
        """The key of that id. Raises TransientError when the database is away."""
        known = self._looked_up.get(key_id)
        if known is not None and known.until_s > time.monotonic():
            return known.document
        try:
            number = UUID(key_id)
        except ValueError:
            return None
        # Reckoned from before the question: an answer may be older than its arrival.
        until_s = time.monotonic() + FRESH_S
        try:
            async with self._database.reading() as connection:
                key = await store.find_key(connection, number)
        except DatabaseUnavailableError as error:
            raise TransientError(str(error)) from error
        if key is None:
            return None
        self._looked_up[key_id] = _LookedUp(document=key.document(), until_s=until_s)
        while len(self._looked_up) > REMEMBERED_MAX:
            self._looked_up.popitem(last=False)
        return self._looked_up[key_id].document


def recorded_senders(
    topic: Topic, *, keys: SigningKeyTable, refusals: Refusals, ingest_projects: Mapping[str, str], clock: Clock
) -> Senders:
    """The judge of one topic's senders; a known key's refusal becomes an audit entry, floods of them are summed up."""

    async def on_refused(refused: RefusedSender) -> None:
        event = refused.received.event
        await refusals.note(
            refused_event(
                actor=refused.key.qualified_actor,
                permission=PERMISSIONS[refused.topic.name],
                project=project_of(event) or audited_project(refused.key.project),
                subject=f"access/signing-keys/{refused.key.key_id}",
                operation=f"{event.type} on {refused.topic.name}",
                reason=refused.detail,
                event_id=refused.received.envelope.id,
            )
        )

    return Senders(topic, find_key=keys.find, ingest_projects=ingest_projects, clock=clock, on_refused=on_refused)
