"""Records as a reader of a topic finds them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from modelyard_events.envelope import Envelope
from modelyard_events.event import Event

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One readable record, in the order of its partition when in a sequence of them.

    `is_signed`: it carries a signature, as the registry's state documents do and forged ones in these tests do not.
    """

    topic: str
    partition: int
    offset: int
    key: str
    envelope: Envelope
    event: Event
    is_signed: bool = False

    @property
    def sequence(self) -> int:
        """The envelope's sequence; a record without one counts as 0, which no topic of ours begins with."""
        return self.envelope.sequence or 0


def events_of(records: Iterable[Published], kind: type[E]) -> Iterator[E]:
    """The events of one type, in order, each event id once."""
    seen: set[str] = set()
    for record in records:
        if isinstance(record.event, kind) and record.envelope.id not in seen:
            seen.add(record.envelope.id)
            yield record.event
