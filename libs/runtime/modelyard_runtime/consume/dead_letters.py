"""Dead letters: the record's own bytes, with where it came from and why it was parked in added headers."""

from datetime import datetime

from modelyard_events.limits import (
    PAYLOAD_BYTES_MAX,
    RECORD_BYTES_MAX,
    RECORD_HEADERS_BYTES_MAX,
    RECORD_HEADERS_MAX,
    RECORD_KEY_BYTES_MAX,
)
from modelyard_events.record import Record, batch_bytes, headers_bytes

from modelyard_runtime.consume.delivery import RawRecord
from modelyard_runtime.publish.replaceable_producer import ReplaceableProducer

DETAIL_CHARS_MAX = 1_000
PREFIX = "dead_letter_"
CUT_HEADER = f"{PREFIX}cut"


class DeadLetters:
    """Parks records on `<topic>.dead-letter`, for a person to look at and perhaps to redrive.

    The producer must be idempotent with `acks=all` (`publish.build_producer`); whoever built it starts
    and stops it.
    """

    def __init__(self, producer: ReplaceableProducer | None) -> None:
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

        Key, value and headers stay byte-identical, unless the record is larger than what a broker takes, which a
        compressed one can be: then they are cut, and `dead_letter_cut` says so. What is not UTF-8 in a header's name,
        which Kafka does not allow and the client cannot write, gets backslash escapes. The origin, the consumer group
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
        kept = _kept(record)
        assert self._producer is not None
        await self._producer.send_and_wait(
            f"{record.topic}.dead-letter",
            kept.value,
            key=kept.key,
            headers=[*(each for each in kept.headers if each[0] not in replaced), *replaced.items()],
        )


def _kept(record: RawRecord) -> Record:
    """What of a record is parked."""
    if len(record.headers) <= RECORD_HEADERS_MAX:
        whole = Record(
            key=record.key,
            value=record.value,
            headers=tuple((_writable(name), value) for name, value in record.headers if name != CUT_HEADER),
        )
        if batch_bytes(whole) <= RECORD_BYTES_MAX:
            return whole
    some = tuple((_writable(name), value) for name, value in record.headers[:RECORD_HEADERS_MAX] if name != CUT_HEADER)
    cut = Record(
        key=record.key and record.key[:RECORD_KEY_BYTES_MAX],
        value=record.value and record.value[:PAYLOAD_BYTES_MAX],
        headers=some,
    )
    fitting = some if headers_bytes(cut) <= RECORD_HEADERS_BYTES_MAX else ()
    told = f"{len(record.headers)} headers, a value of {len(record.value or b'')} bytes".encode()
    return Record(key=cut.key, value=cut.value, headers=(*fitting, (CUT_HEADER, told)))


def _writable(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()
