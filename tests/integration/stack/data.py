"""Something to write into each server, and to find again."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from modelyard_stack import Addresses
from redis.asyncio import Redis

READ_TIMEOUT_MS = 1_000


async def write_everywhere(addresses: Addresses, *, name: str) -> None:
    """A record in the topic, a row in the table and a cache entry of that `name`; each says its name."""
    await create_topic(addresses, name=name, settings={})
    await produce(addresses, topic=name, records=[(b"key", name.encode())])
    async with database(addresses) as connection:
        await connection.execute(f"create table {name} as select '{name}' as text")
    async with Redis.from_url(addresses.redis_url) as client:
        await client.set(name, name)


async def read_record(addresses: Addresses, *, name: str) -> str:
    ((_, value),) = await records_of(addresses, topic=name)
    return value.decode()


async def read_row(addresses: Addresses, *, name: str) -> str:
    async with database(addresses) as connection:
        return str(await connection.fetchval(f"select text from {name}"))


async def read_entry(addresses: Addresses, *, name: str) -> str | None:
    async with Redis.from_url(addresses.redis_url, decode_responses=True) as client:
        entry = await client.get(name)
        return None if entry is None else str(entry)


async def topics_of(addresses: Addresses) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=addresses.kafka_bootstrap)
    await admin.start()
    try:
        topics: list[str] = await admin.list_topics()
        return topics
    finally:
        await admin.close()


async def create_topic(addresses: Addresses, *, name: str, settings: Mapping[str, str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=addresses.kafka_bootstrap)
    await admin.start()
    try:
        topic = NewTopic(name, num_partitions=1, replication_factor=1, topic_configs=dict(settings))
        await admin.create_topics([topic])
    finally:
        await admin.close()


async def produce(addresses: Addresses, *, topic: str, records: list[tuple[bytes, bytes]]) -> None:
    async with producer_to(addresses) as producer:
        for key, value in records:
            await producer.send_and_wait(topic, value=value, key=key)


async def records_of(addresses: Addresses, *, topic: str) -> list[tuple[bytes, bytes]]:
    """Every record that the topic's one partition holds now."""
    partition = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=addresses.kafka_bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        found = []
        while await consumer.position(partition) < end:
            batch = await consumer.getmany(partition, timeout_ms=READ_TIMEOUT_MS)
            found += [(record.key, record.value) for record in batch.get(partition, [])]
        return found
    finally:
        await consumer.stop()


@asynccontextmanager
async def database(addresses: Addresses) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(addresses.postgres_dsn)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def producer_to(addresses: Addresses) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=addresses.kafka_bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()
