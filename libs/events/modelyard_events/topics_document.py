"""The catalogue as a page for people, docs/reference/topics.md; run this module to print it."""

from collections.abc import Iterator

from modelyard_events.topics import KEPT, TOPICS, Kind, Topic, dead_letter_topics

DAY_MS = 24 * 60 * 60 * 1_000

INTRODUCTION = """\
# Topics

Every event is a CloudEvent 1.0 in Kafka's binary mode: attributes in `ce_*` headers, the event as a JSON
value; on ingest topics (those that others than services write to) structured mode is understood too, and an event
must [prove who sent it](../how-to/publish-events.md). `ce_id` is the dedupe key. On the registry's
topics `ce_sequence` is gapless per topic and key (on `audit-log.v1`: over the whole log), so a consumer can
prove that it missed nothing; order is (`ce_generation`, `ce_sequence`). A prefix for all names comes from
`MODELYARD_TOPIC_PREFIX`. Delivery is at least once: apply an event once by its `ce_id` or its sequence.

The services create what is missing at their start and refuse to run on topics that differ.
The JSON Schema of each event is in `libs/events/modelyard_events/schemas/`, an example in `examples/`
beside it.
This page is made from the catalogue by `python -m modelyard_events.topics_document`.
"""


def document() -> str:
    """The page, in Markdown."""
    return "\n".join([INTRODUCTION, *(line for topic in TOPICS for line in _section(topic)), *_dead_letters()])


def _section(topic: Topic) -> Iterator[str]:
    yield f"## `{topic.name}`\n"
    yield f"{topic.producer} → {', '.join(topic.consumers)}. Key: `{topic.key}`. {_kept(topic)}\n"
    for event in topic.events:
        meaning = " ".join((event.__doc__ or "").split("\n\n")[0].split())
        yield f"- `{event.type}`: {meaning}"
    yield ""


def _kept(topic: Topic) -> str:
    partitions = f"{topic.partitions} partition{'s' if topic.partitions > 1 else ''}"
    if topic.kind is Kind.STATE:
        return f"{partitions}, compacted: the last record of a key is its whole truth."
    if topic.retention_ms == KEPT:
        return f"{partitions}, kept for ever."
    return f"{partitions}, kept for {topic.retention_ms // DAY_MS} days."


def _dead_letters() -> Iterator[str]:
    yield "## Dead letters\n"
    yield "Records that a consumer could not apply are parked with their bytes as they came, and headers"
    yield "`dead_letter_reason`, `dead_letter_detail`, `dead_letter_group` and the place they came from:\n"
    for topic in dead_letter_topics():
        yield f"- `{topic.name}`, {_kept(topic)}"
    yield ""


if __name__ == "__main__":
    print(document(), end="")
