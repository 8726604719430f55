"""Topics as the catalogue says: what is missing is created, what is there must agree."""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from modelyard_events.topics import TOPICS, Kind, Topic, dead_letter_topics

from modelyard_runtime.kafka_connection import KafkaConnection

log = structlog.get_logger()

REQUEST_TIMEOUT_MS = 10_000
VISIBLE_TIMEOUT_S = 30.0
VISIBLE_POLL_S = 0.1
DEAD_LETTER_BYTES_MAX = 2 * 1_024 * 1_024
"""Twice the default: the largest record still fits with the headers that a dead letter adds."""

CHECKED = ("cleanup.policy", "retention.ms")

ALL_TOPICS: tuple[Topic, ...] = (*TOPICS, *dead_letter_topics())


class TopicMismatchError(Exception):
    """Topics on the broker differ from the catalogue; the message lists each difference and its remedy."""

    def __init__(self, differences: Sequence[str]) -> None:
        super().__init__("topics differ from the catalogue:\n" + "\n".join(f"- {line}" for line in differences))
        self.differences = tuple(differences)


async def ensure_topics(
    *,
    kafka: KafkaConnection,
    prefix: str,
    topics: Sequence[Topic] = ALL_TOPICS,
    replication_factor: int = 1,
) -> None:
    """Create the topics that are missing and check those that exist; returns when all are visible.

    Safe to call by several services at once, and again. Raises TopicMismatchError when partitions,
    clean-up policy or retention of an existing topic differ, and changes nothing about it then; raises
    KafkaError when the broker cannot be reached or refuses.
    """
    admin = AIOKafkaAdminClient(**kafka.client_options(), request_timeout_ms=REQUEST_TIMEOUT_MS)
    await admin.start()
    try:
        wanted = {f"{prefix}{topic.name}": topic for topic in topics}
        present = set(await admin.list_topics())
        missing = [name for name in wanted if name not in present]
        await _create(admin, {name: wanted[name] for name in missing}, replication_factor=replication_factor)
        partitions = await _await_visible(admin, list(wanted))
        configs = await _configs(admin, list(wanted))
        differences = [
            line
            for name, topic in wanted.items()
            for line in _differences(name, topic, partitions=partitions[name], config=configs[name])
        ]
        if differences:
            raise TopicMismatchError(differences)
    finally:
        await admin.close()


async def _create(admin: AIOKafkaAdminClient, topics: dict[str, Topic], *, replication_factor: int) -> None:
    if not topics:
        return
    response = await admin.create_topics(
        [
            NewTopic(
                name=name,
                num_partitions=topic.partitions,
                replication_factor=replication_factor,
                topic_configs=config_of(topic),
            )
            for name, topic in topics.items()
        ]
    )
    for name, code, *details in response.topic_errors:
        error = for_code(code)
        if code == 0:
            log.info("topic_created", topic=name)
        elif error is not TopicAlreadyExistsError:  # Another service was quicker: then it is checked.
            msg = f"topic {name} was not created: {details[0] if details else error.__name__}"
            raise error(msg)


def config_of(topic: Topic) -> dict[str, str]:
    """The broker settings a topic is created with."""
    if topic.kind is Kind.PARKED:
        return {**topic.config(), "max.message.bytes": str(DEAD_LETTER_BYTES_MAX)}
    return topic.config()


async def _await_visible(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    """The number of partitions of each topic, once every partition has a leader."""
    try:
        async with asyncio.timeout(VISIBLE_TIMEOUT_S):
            while True:
                described = await admin.describe_topics(names)
                counts = {
                    topic["topic"]: len(topic["partitions"])
                    for topic in described
                    if topic["error_code"] == 0 and _has_leaders(topic)
                }
                if len(counts) == len(names):
                    return counts
                await asyncio.sleep(VISIBLE_POLL_S)
    except TimeoutError as error:
        msg = f"the topics were not visible with a leader each within {VISIBLE_TIMEOUT_S:.0f} s"
        raise KafkaError(msg) from error


def _has_leaders(topic: dict[str, Any]) -> bool:
    partitions = topic["partitions"]
    return bool(partitions) and all(part["error_code"] == 0 and part["leader"] >= 0 for part in partitions)


async def _configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for response in responses
        for resource in response.resources
    }


def _differences(name: str, topic: Topic, *, partitions: int, config: dict[str, str]) -> list[str]:
    lines = []
    if partitions != topic.partitions:
        lines.append(
            f"{name} has {partitions} partitions, the catalogue says {topic.partitions}: adding partitions "
            f"breaks the order of keys, so create it anew (delete it, or choose another prefix)"
        )
    for setting, want in config_of(topic).items():
        have = config.get(setting)
        if setting in CHECKED and have != want:
            lines.append(
                f"{name} has {setting}={have}, the catalogue says {want}: kafka-configs.sh --alter "
                f"--entity-type topics --entity-name {name} --add-config {setting}={want}"
            )
    return lines
