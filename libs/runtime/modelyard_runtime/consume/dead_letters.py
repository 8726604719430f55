"""Dead letters: the record's own bytes, with where it came from and why it was parked in added headers."""

from datetime import datetime

from aiokafka import AIOKafkaProducer

from modelyard_runtime.consume.delivery import RawRecord

DETAIL_CHARS_MAX = 1_000
PREFIX = "dead_letter_"


class DeadLetters:
    """Parks records on `<topic>.dead-letter`, for a person to look at and perhaps to redrive.

    The producer must be idempotent with `acks=all` (`publish.build_producer`); whoever built it starts
    and stops it.
    """

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def park(
        self,
        record: RawRecord,
        *,
        reason: str,
        detail: str,
        group: str,
        attempts: int,
        first_failed_at: datetime,
        last_failed_at: datetime,
    ) -> None:
        """Write the record to its dead-letter topic and wait for the acknowledgement.

        Key, value and headers stay byte-identical; only what is not UTF-8 in a header's name, which Kafka
        does not allow and the client cannot write, gets backslash escapes. The origin, the consumer group
        and the failure are added as `dead_letter_*` headers, replacing those of an earlier parking. Raises
        KafkaError when the broker did not take it.
        """
        added = {
            "reason": reason,
            "detail": detail[:DETAIL_CHARS_MAX],
            "group": group,
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": record.timestamp,
            "attempts": attempts,
            "first_failed_at": first_failed_at.isoformat(),
            "last_failed_at": last_failed_at.isoformat(),
        }
        replaced = {f"{PREFIX}{name}": str(value).encode(errors="replace") for name, value in added.items()}
        kept = [(_writable(name), value) for name, value in record.headers if name not in replaced]
        await self._producer.send_and_wait(
            f"{record.topic}.dead-letter",
            key=record.key,
            value=record.value,
            headers=[*kept, *replaced.items()],
        )


def _writable(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()
