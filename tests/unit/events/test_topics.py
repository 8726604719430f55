"""The catalogue is whole: every event has one topic, every consumed topic a place for its dead letters."""

import re
from pathlib import Path

from modelyard_events.topics import EVENT_TYPES, KEPT, TOPICS, Kind, dead_letter_topics, topic_named
from modelyard_events.topics_document import document

WIRE_TYPE = re.compile(r"^[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*\.v\d+$")
TOPIC_NAME = re.compile(r"^[a-z]+(-[a-z]+)*\.v\d+$")


def test_an_event_type_is_carried_by_one_topic_only() -> None:
    carried = [event.type for topic in TOPICS for event in topic.events]

    assert len(carried) == len(set(carried)) == len(EVENT_TYPES)


def test_names_follow_the_conventions() -> None:
    assert [name for name in EVENT_TYPES if not WIRE_TYPE.match(name)] == []
    assert [topic.name for topic in TOPICS if not TOPIC_NAME.match(topic.name)] == []


def test_every_topic_that_a_service_consumes_has_a_dead_letter_topic() -> None:
    parked = {topic.name for topic in dead_letter_topics()}

    assert parked == {
        f"{name}.v1.dead-letter"
        for name in (
            "training-runs",
            "routes",
            "access",
            "access-refusals",
            "inferences",
            "shadow-comparisons",
            "entity-changes",
            "cache-invalidations",
        )
    }


def test_state_is_compacted_and_history_is_kept() -> None:
    assert topic_named("routes.v1").config()["cleanup.policy"] == "compact"
    assert [topic_named(name).retention_ms for name in ("model-versions.v1", "audit-log.v1")] == [KEPT, KEPT]
    assert topic_named("audit-log.v1").partitions == 1
    assert {topic.kind for topic in dead_letter_topics()} == {Kind.PARKED}


def test_the_broker_unpacks_what_outsiders_write_and_holds_it_to_a_limit() -> None:
    ingest = [topic for topic in TOPICS if topic.kind is Kind.INGEST]

    assert {topic.name for topic in ingest} == {"training-runs.v1", "entity-changes.v1"}
    for topic in ingest:
        assert topic.config()["compression.type"] == "uncompressed"
        assert topic.config()["max.message.bytes"] == "1048588"


def test_the_page_about_topics_is_what_the_catalogue_says() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "topics.md"

    assert page.read_text() == document(), "python -m modelyard_events.topics_document > docs/reference/topics.md"
