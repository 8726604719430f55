"""What a handler receives: one event with where it came from, or one partition's records at once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from modelyard_events.envelope import Envelope
from modelyard_events.event import Event

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a record stands. `topic` is the broker's name, with the prefix."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who proved by a signature to have sent an event: the actor to whom the registry bound the key."""

    actor: str
    key_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Generic[E]):
    """One event as it was delivered. `attempt` counts from 1 and rises with each retry in this process.

    `sender` is None when nobody signed it: a fact of ours, or an event on a topic that the broker keeps others from.
    """

    envelope: Envelope
    event: E
    position: Position
    attempt: int
    key: bytes | None
    sender: Sender | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Consecutive records of one partition.

    `next_offset` is exclusive and covers also what is not among the deliveries (ignored, parked and
    tombstone records), so that offset and effect can be stored in one transaction. A batch without
    deliveries says only that the offset moved.
    """

    deliveries: tuple[Delivery[Any], ...]
    topic: str
    partition: int
    first_offset: int
    next_offset: int


Handler = Callable[[Delivery[Any]], Awaitable[None]]
BatchHandler = Callable[[Batch], Awaitable[None]]


class RawRecord(Protocol):
    """A record as aiokafka hands it over, nothing decoded. `timestamp` is in milliseconds."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...
