"""What the relay sends: outbox rows as Kafka records, grouped by the partition that orders them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from modelyard_events.codec import Record, headers_of
from modelyard_events.envelope import Envelope

SOURCE = "/modelyard/registry"

PartitionOf = Callable[[str, bytes], int]
"""The partition of a topic (its broker's name) that a key belongs to."""


class UnpublishedRow(NamedTuple):
    """An unpublished event. `sequence` is None for an audit entry that has no log index yet.

    A tuple in the order of the statement's columns: thousands of them are made in each round.
    """

    id: int
    topic: str
    key: str
    event_id: str
    type: str
    audit_entry_id: str | None
    occurred_at: datetime
    actor: str | None
    correlation_id: str | None
    causation_id: str | None
    payload: str
    sequence: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A record on its way; `row_id` is the outbox row to delete once the broker has it, if there is one."""

    topic: str
    record: Record
    row_id: int | None

    @property
    def name(self) -> str:
        """What tells the record from others: its row, or else the document that it says again."""
        if self.row_id is not None:
            return str(self.row_id)
        return f"{self.topic}/{(self.record.key or b'').decode()}/{dict(self.record.headers).get('ce_sequence')!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDocument:
    """The newest document of a key of a compacted topic, as its table holds it; `order` is (generation, sequence)."""

    topic: str
    key: str
    event_type: str
    order: tuple[int, int]
    payload: str


def outgoing_row(row: UnpublishedRow, *, sequence: int, generation: int) -> Outgoing:
    """The record of an outbox row, whose envelope says which database history its sequence belongs to."""
    envelope = Envelope(
        id=row.event_id,
        source=SOURCE,
        type=row.type,
        subject=row.key,
        occurred_at=row.occurred_at,
        sequence=sequence,
        generation=generation,
        correlation_id=row.correlation_id,
        causation_id=row.causation_id,
        actor=row.actor,
    )
    return Outgoing(topic=row.topic, record=_record(envelope, row.payload), row_id=row.id)


def outgoing_document(document: StateDocument, *, event_id: str, now: datetime) -> Outgoing:
    """The record that says a document again: same sequence, new envelope."""
    generation, sequence = document.order
    envelope = Envelope(
        id=event_id,
        source=SOURCE,
        type=document.event_type,
        subject=document.key,
        occurred_at=now,
        sequence=sequence,
        generation=generation,
    )
    return Outgoing(topic=document.topic, record=_record(envelope, document.payload), row_id=None)


def outgoing_tombstone(topic: str, *, key: str) -> Outgoing:
    """The record that deletes a key which is not the registry's: compaction removes what was written there."""
    return Outgoing(topic=topic, record=Record(key=key.encode(), value=None, headers=()), row_id=None)


def by_partition(
    records: Iterable[Outgoing], *, partition_of: PartitionOf
) -> dict[tuple[str, int], Sequence[Outgoing]]:
    """The records of each (topic, partition), in the order in which they were given."""
    groups: dict[tuple[str, int], list[Outgoing]] = {}
    for each in records:
        key = each.record.key or b""
        groups.setdefault((each.topic, partition_of(each.topic, key)), []).append(each)
    return dict(groups)


def _record(envelope: Envelope, payload: str) -> Record:
    return Record(key=envelope.subject.encode(), value=payload.encode(), headers=headers_of(envelope))
