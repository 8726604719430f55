"""What outsiders compress is unpacked and measured by the broker: no consumer unpacks more than the limit."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from tests.integration.runtime.corner import Corner

pytestmark = pytest.mark.integration

UNPACKED_MAX = 64 * 1024 * 1024


def compressing(corner: Corner) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=corner.bootstrap,
        compression_type="gzip",
        max_request_size=UNPACKED_MAX,
        max_batch_size=UNPACKED_MAX,
        linger_ms=200,
    )


async def test_a_batch_that_unpacks_to_far_more_than_the_limit_is_refused(corner: Corner) -> None:
    async with compressing(corner) as producer:
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait(corner.topic_name, bytes(20_000_000), key=b"one", partition=0)


async def test_many_records_that_unpack_to_more_than_the_limit_together_are_refused(corner: Corner) -> None:
    async with compressing(corner) as producer:
        sent = [await producer.send(corner.topic_name, bytes(100_000), partition=0) for _ in range(50)]
        outcomes = await asyncio.gather(*sent, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {MessageSizeTooLargeError}


async def test_a_batch_within_the_limit_arrives_whole(corner: Corner) -> None:
    async with compressing(corner) as producer:
        await producer.send_and_wait(corner.topic_name, bytes(500_000), key=b"one", partition=0)

    (record,) = await corner.records(corner.topic_name, count=1)
    assert (record.key, record.value) == (b"one", bytes(500_000))
