"""Who sent an event on a topic that others write to: proved by a key of the sender's, or by the broker's own ACLs.

A signed event is judged by its signature alone: the key must be alive, and bound to the topic and to what the
event is about. An unsigned one counts only where the settings say that the broker lets nobody but one project's
producers write to the topic. Whatever fails is parked before any handler sees it.
"""

import base64
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from modelyard_events.access import SigningKeyChanged
from modelyard_events.codec import Received
from modelyard_events.entities import EntityChanged
from modelyard_events.event import Event
from modelyard_events.record import Record
from modelyard_events.signing import Signed, Unclear, Unsigned, is_signed, read_signature
from modelyard_events.topics import Topic

from modelyard_runtime.access.permissions import ALL_PROJECTS
from modelyard_runtime.clock import Clock
from modelyard_runtime.consume.delivery import Sender
from modelyard_runtime.ed25519 import why_unusable
from modelyard_runtime.errors import PermanentError

UNPROVED = "sender_unproved"
NOT_PERMITTED = "sender_not_permitted"
PUBLIC_KEYS_MAX = 1_000
WAITS_MAX = 8
WAITS_WINDOW = timedelta(minutes=1)

FindKey = Callable[[str], Awaitable[SigningKeyChanged | None]]
"""Answers the key of an id as it now is, None when there is none. Raises TransientError when it cannot know yet."""


class SenderUnprovedError(PermanentError):
    """Nobody proved to have sent the event."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason=UNPROVED)


class SenderNotPermittedError(PermanentError):
    """It is known whose event it is, and that they may not send it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason=NOT_PERMITTED)


class UnknownKeyError(Exception):
    """Nothing is known of the key, but news of it may be under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedSender:
    """The refusal of a known key's holder, for whoever keeps a record of such."""

    key: SigningKeyChanged
    topic: Topic
    received: Received[Event]
    detail: str


OnRefused = Callable[[RefusedSender], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whoever has the private half of a registered key, whatever it may still be used for."""

    key: SigningKeyChanged


@dataclass(frozen=True, slots=True)
class Vouched:
    """Somebody whom the broker lets write to the topic; `project` is the one that it is kept to, `*` for any."""

    project: str


Identity = KeyHolder | Vouched


class Senders:
    """Judges the senders of one topic's events.

    `ingest_projects` names, for each topic, the project that the broker holds its producers to, `*` for any.
    A key that is not known is asked for `key_attempts_max` times before its event is given up: whoever reads
    keys from a topic may hear of one a moment later than of the first event that it signed. At most `WAITS_MAX`
    events a minute are waited with.
    """

    def __init__(
        self,
        topic: Topic,
        *,
        find_key: FindKey,
        ingest_projects: Mapping[str, str],
        clock: Clock,
        key_attempts_max: int = 1,
        on_refused: OnRefused | None = None,
    ) -> None:
        self._topic = topic
        self._find_key = find_key
        open_to = ingest_projects.get(topic.name)
        self._vouched = None if open_to is None else Vouched(project=open_to)
        self._clock = clock
        self._key_attempts_max = key_attempts_max
        self._on_refused = on_refused
        self._waits: deque[datetime] = deque()

    def find_vouched(self, record: Record) -> Vouched | None:
        """The sender that the broker vouches for; None when the record is signed, or must be."""
        return None if self._vouched is None or is_signed(record) else self._vouched

    async def identify(self, record: Record, *, attempt: int) -> Identity:
        """Who sent a record, before anything of its event is read.

        Raises SenderUnprovedError, UnknownKeyError while the key may still become known, and what `find_key` raises.
        """
        match read_signature(record):
            case Unsigned():
                if self._vouched is None:
                    raise SenderUnprovedError(
                        f"The event is not signed, and {self._topic.name} is not kept to one project's producers. "
                        "Sign it with a key of POST /api/v1/access/signing-keys."
                    )
                return self._vouched
            case Unclear(detail):
                raise SenderUnprovedError(f"The signature cannot be read: {detail}.")
            case Signed() as signed:
                return KeyHolder(key=await self._find_fitting(signed, attempt=attempt))

    def permit(self, identity: Identity, event: Event) -> Sender | None:
        """The sender if they may send the event; None when the broker vouches for it.

        Raises SenderNotPermittedError.
        """
        match identity:
            case Vouched(project):
                refuse_other_projects(event, topic=self._topic, open_to=project)
                return None
            case KeyHolder(key):
                detail = find_refusal(key, topic=self._topic, event=event, now=self._clock())
                if detail is not None:
                    raise SenderNotPermittedError(detail)
                return Sender(actor=key.qualified_actor, key_id=key.key_id)

    async def report(self, identity: Identity, received: Received[Event], *, detail: str) -> None:
        """Tell `on_refused` that a known key's holder was refused. Raises what that raises."""
        if isinstance(identity, KeyHolder) and self._on_refused is not None:
            await self._on_refused(RefusedSender(key=identity.key, topic=self._topic, received=received, detail=detail))

    async def _find_fitting(self, signed: Signed, *, attempt: int) -> SigningKeyChanged:
        key = await self._find_key(signed.key_id)
        if key is None and attempt < self._key_attempts_max and self._may_wait(attempt):
            raise UnknownKeyError(f"the signing key {signed.key_id} is not known yet")
        if key is None or not fits(signed, public_key=key.public_key):
            raise SenderUnprovedError(
                f"No key {signed.key_id} is registered."
                if key is None
                else f"The signature does not fit the record and the key {signed.key_id}."
            )
        return key

    def _may_wait(self, attempt: int) -> bool:
        """Whether to wait for a key; whoever invents keys must not keep all others waiting for ever."""
        if attempt > 1:
            return True
        now = self._clock()
        while self._waits and self._waits[0] <= now - WAITS_WINDOW:
            self._waits.popleft()
        if len(self._waits) >= WAITS_MAX:
            return False
        self._waits.append(now)
        return True


def refuse_other_projects(event: Event, *, topic: Topic, open_to: str) -> None:
    """Raise unless unsigned events of that project are taken; `open_to` is the topic's entry of the settings."""
    if open_to == ALL_PROJECTS:
        return
    if open_to != (project := project_of(event)):
        raise SenderNotPermittedError(
            f"Unsigned events on {topic.name} are taken for the project {open_to} only, not for {project}."
        )


def blamed_for(identity: Identity, event: Event | None) -> str:
    """Who answers for an event's failures: the holder of its key, or else the project or tenant that it names."""
    match identity:
        case KeyHolder(key):
            return key.qualified_actor
        case Vouched():
            named = None if event is None else getattr(event, "tenant", None) or project_of(event)
            return f"unsigned: {named}"


def find_refusal(key: SigningKeyChanged, *, topic: Topic, event: Event, now: datetime) -> str | None:
    """Why the holder of a key may not send an event, as a sentence; None when they may."""
    why = _find_why_not(key, topic=topic, event=event, now=now)
    return None if why is None else f"The key {key.key_id} of {key.qualified_actor} {why}."


def _find_why_not(key: SigningKeyChanged, *, topic: Topic, event: Event, now: datetime) -> str | None:
    if key.revoked:
        return "was revoked"
    if key.expires_at <= now:
        return f"expired at {key.expires_at.isoformat()}"
    if topic.name not in key.topics:
        return f"may not sign events on {topic.name}"
    if isinstance(event, EntityChanged):
        return None if _speaks_for_tenant(key, event.tenant) else f"does not speak for {event.tenant}"
    if key.project != ALL_PROJECTS and key.project != (project := project_of(event)):
        return f"belongs to the project {key.project}, the event to {project}"
    return None


def project_of(event: Event) -> str | None:
    """The project that an event is about; None when it names none."""
    project = getattr(event, "project", None)
    return project if isinstance(project, str) else None


def fits(signed: Signed, *, public_key: str) -> bool:
    """Whether the signature was made over these bytes by who has the private half of `public_key` (base64)."""
    key = _parsed(public_key)
    if key is None:
        return False
    try:
        key.verify(signed.signature, signed.message)
    except InvalidSignature:
        return False
    return True


def _speaks_for_tenant(key: SigningKeyChanged, tenant: str) -> bool:
    # A tenant belongs to no project: whoever may speak for tenants that are not named may for all projects.
    return key.project == ALL_PROJECTS if key.tenants is None else tenant in key.tenants


@lru_cache(maxsize=PUBLIC_KEYS_MAX)
def _parsed(public_key: str) -> Ed25519PublicKey | None:
    """The key; None when it proves nothing, for whoever registers keys may have been less strict once."""
    raw = base64.b64decode(public_key)
    return Ed25519PublicKey.from_public_bytes(raw) if why_unusable(raw) is None else None
