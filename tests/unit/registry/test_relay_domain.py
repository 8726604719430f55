"""The relay's pure parts: records, partitions, and which keys an older record overtook."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from modelyard_events.codec import Received, decode
from modelyard_events.registry import AliasMoved
from modelyard_registry.outbox.repair import LastRecords
from modelyard_registry.outbox.rows import Outgoing, StateDocument, UnpublishedRow, by_partition, outgoing_row

KEY = "bank/risk"


def test_a_row_becomes_a_record_that_says_what_was_written() -> None:
    event = AliasMoved(project="bank", model="m", alias="champion", from_number=1, to_number=2)
    row = a_row(1, payload=event.model_dump_json(), type_=event.type)

    outgoing = outgoing_row(row, sequence=7, generation=2)

    decoded = decode(outgoing.record)
    assert isinstance(decoded, Received)
    assert decoded.event == event
    assert decoded.envelope.order == (2, 7)
    assert (decoded.envelope.subject, decoded.envelope.actor) == (KEY, "ada")
    assert outgoing.row_id == 1


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["t1", "t2"])), max_size=60))
def test_the_order_of_each_key_survives_grouping_and_nothing_is_lost(keys: list[tuple[str, str]]) -> None:
    records = [an_outgoing(number, topic=topic, key=key) for number, (key, topic) in enumerate(keys)]

    groups = by_partition(records, partition_of=lambda _, key: key[0] % 3)

    assert sorted(each.row_id or 0 for group in groups.values() for each in group) == list(range(len(records)))
    for (topic, partition), group in groups.items():
        assert [each.row_id for each in group] == sorted(each.row_id or 0 for each in group)
        assert all(each.topic == topic and (each.record.key or b"")[0] % 3 == partition for each in group)


def test_a_key_is_overtaken_while_its_last_record_is_not_its_newest() -> None:
    records = LastRecords()
    for sequence in (1, 2, 3):
        records.see(KEY, order=(1, sequence))
    assert not records.overtaken

    records.see(KEY, order=(1, 2))
    assert KEY in records.overtaken

    records.see(KEY, order=(1, 3))
    assert not records.overtaken


def test_a_newer_generation_outranks_a_higher_sequence() -> None:
    records = LastRecords()
    records.see(KEY, order=(1, 9))
    records.see(KEY, order=(2, 3))
    assert not records.overtaken

    records.see(KEY, order=(1, 10))
    assert KEY in records.overtaken


def test_a_document_older_than_the_log_is_not_said_again() -> None:
    records = LastRecords()
    records.see(KEY, order=(1, 9))
    records.see(KEY, order=(1, 2))

    behind, level = (
        StateDocument(topic="routes.v1", key=KEY, event_type="route.changed.v1", order=(1, sequence), payload="{}")
        for sequence in (8, 9)
    )

    assert records.select_mending([behind]) == []
    assert records.select_mending([level]) == [level]
    records.forget_overtaken([KEY])
    assert not records.overtaken


@given(st.lists(st.integers(min_value=1, max_value=6), min_size=1, max_size=30))
def test_saying_the_newest_again_whenever_told_to_leaves_the_newest_last(sequences: list[int]) -> None:
    log: list[int] = []
    records = LastRecords()
    for sequence in sequences:
        log.append(sequence)
        records.see(KEY, order=(1, sequence))
        if records.overtaken:
            log.append(max(log))
            records.see(KEY, order=(1, max(log)))

    assert log[-1] == max(log)


def a_row(number: int, *, payload: str = "{}", type_: str = "alias.moved.v1") -> UnpublishedRow:
    return UnpublishedRow(
        id=number,
        topic="model-versions.v1",
        key=KEY,
        event_id=f"event-{number}",
        type=type_,
        audit_entry_id=None,
        occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
        actor="ada",
        correlation_id=None,
        causation_id=None,
        payload=payload,
        sequence=number,
    )


def an_outgoing(number: int, *, topic: str, key: str) -> Outgoing:
    row = a_row(number)._replace(topic=topic, key=key)
    return outgoing_row(row, sequence=number, generation=1)
