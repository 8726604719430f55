"""What a record is before a handler sees it: bounded first, then proved, then read, then permitted.

Whoever proves nothing cannot make us read what they wrote; whoever is known answers for their own records alone.
"""

import asyncio
from dataclasses import dataclass, replace

from modelyard_events.codec import Poison, Received
from modelyard_events.event import Event
from modelyard_events.limits import RECORD_HEADERS_MAX
from modelyard_events.record import Record, find_excess

from modelyard_runtime.consume.delivery import RawRecord, Sender
from modelyard_runtime.consume.reading import Ignored, Wanted, read
from modelyard_runtime.consume.retries import Failure, Retries
from modelyard_runtime.consume.senders import Identity, SenderNotPermittedError, Senders, blamed_for

HANDLER_FAILED = "handler_failed"
COSTLY_BYTES = 10_000
"""A record of more bytes lets others have a turn first: reading one takes up to a few hundredths of a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A record that is to be parked. `outcome` is the metric label, `blamed` the sender if one is known.

    The outcome is `unproved` when nobody proved to have sent it, `refused` when a known sender is at fault, and
    `parked` when it may be us.
    """

    failure: Failure
    outcome: str
    blamed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """An event for a handler; `sender` if a signature proved one, `blamed` who answers for its failures."""

    received: Received[Event]
    sender: Sender | None = None
    blamed: str | None = None


Examined = Sound | Ignored | Refused


class Examination:
    """Examines the records of one topic; `senders` is None where only we write."""

    def __init__(self, wanted: Wanted, *, senders: Senders | None, retries: Retries) -> None:
        self._wanted = wanted
        self._senders = senders
        self._retries = retries

    async def of(self, raw: RawRecord) -> Examined:
        """What a record is. Raises StoppedError while what is needed to judge it is away."""
        record = Record(key=raw.key, value=raw.value, headers=tuple(raw.headers))
        if len(record.value or b"") > COSTLY_BYTES or len(record.headers) > RECORD_HEADERS_MAX:
            await asyncio.sleep(0)
        if record.value is None:
            return Ignored("tombstone")
        if (excess := find_excess(record)) is not None:
            failure = self._retries.failed("record_too_large", excess)
            return Refused(failure=failure, outcome="parked" if self._senders is None else "unproved")
        if self._senders is None:
            return self._read(record, identity=None)
        identity = self._senders.find_vouched(record) or await self._identify(record, self._senders)
        if isinstance(identity, Failure):
            return Refused(failure=identity, outcome="unproved")
        examined = self._read(record, identity=identity)
        if not isinstance(examined, Sound):
            return examined
        return await self._permit(examined, self._senders, identity=identity)

    def _read(self, record: Record, *, identity: Identity | None) -> Examined:
        match read(record, self._wanted):
            case Ignored() as ignored:
                return ignored
            case Poison(reason, detail):
                failure = self._retries.failed(reason, detail)
                if identity is None:
                    return Refused(failure=failure, outcome="parked")
                return Refused(failure=failure, outcome="refused", blamed=blamed_for(identity, None))
            case Received() as received:
                blamed = None if identity is None else blamed_for(identity, received.event)
                return Sound(received=received, blamed=blamed)

    async def _identify(self, record: Record, senders: Senders) -> Identity | Failure:
        found: list[Identity] = []

        async def identify(attempt: int) -> None:
            found.append(await senders.identify(record, attempt=attempt))

        return await self._retries.attempt(identify) or found[0]

    async def _permit(self, sound: Sound, senders: Senders, *, identity: Identity) -> Examined:
        try:
            sender = senders.permit(identity, sound.received.event)
        except SenderNotPermittedError as error:
            return await self._report(error, sound, senders, identity=identity)
        return sound if sender is None else replace(sound, sender=sender)

    async def _report(
        self, error: SenderNotPermittedError, sound: Sound, senders: Senders, *, identity: Identity
    ) -> Refused:
        async def report(_attempt: int) -> None:
            await senders.report(identity, sound.received, detail=str(error))

        failure = await self._retries.attempt(report) or self._retries.failed(error.reason, str(error))
        return Refused(failure=failure, outcome="refused", blamed=sound.blamed)


def refused_by_handler(failure: Failure, sound: Sound) -> Refused:
    """What a record is that its handler gave up: a refusal in words is its known sender's, a surprise may be ours."""
    is_senders_own = sound.blamed is not None and failure.reason != HANDLER_FAILED
    return Refused(failure=failure, outcome="refused" if is_senders_own else "parked", blamed=sound.blamed)
