"""One record with a header name that is not UTF-8 is read like all others, wherever it stands."""

from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords
from modelyard_runtime.consume.lenient_records import LenientRecords

NO_COMPRESSION, GZIP = 0, 1
BAD_NAME = "\udcff\udcfe"


class NotUtf8(str):
    """A header name that is written as bytes that are not UTF-8."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"\xff\xfe"


def a_batch(first_offset: int, *, count: int, bad: set[int], compression: int) -> bytes:
    builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=compression,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1_000_000,
    )
    for index in range(count):
        name = NotUtf8("?") if first_offset + index in bad else "name"
        builder.append(index, 1_000 + index, b"key", b"value" * 20, [(name, b"content"), ("other", None)])
    raw = builder.build()
    raw[0:8] = first_offset.to_bytes(8, "big")
    return bytes(raw)


def read(records: Any) -> Iterator[tuple[int, bytes, list[tuple[str, bytes | None]]]]:
    while records.has_next():
        batch = records.next_batch()
        assert batch.validate_crc()
        assert not batch.is_control_batch
        for record in batch:
            yield record.offset, record.value, list(record.headers)


@pytest.mark.parametrize("compression", [NO_COMPRESSION, GZIP])
@pytest.mark.parametrize("bad", [{0}, {4}, {5}, {7}, {9}, {1, 2, 8}, set(range(10))])
def test_every_record_is_read_once_in_order_with_its_own_bytes(bad: set[int], compression: int) -> None:
    raw = b"".join(a_batch(first, count=5, bad=bad, compression=compression) for first in (0, 5))

    got = list(read(LenientRecords(raw)))

    assert [offset for offset, _, _ in got] == list(range(10))
    assert {value for _, value, _ in got} == {b"value" * 20}
    assert [headers[0][0] for _, _, headers in got] == [BAD_NAME if at in bad else "name" for at in range(10)]
    assert all(headers[0][1] == b"content" and headers[1] == ("other", None) for _, _, headers in got)


def test_without_such_a_record_it_reads_what_the_client_reads() -> None:
    raw = b"".join(a_batch(first, count=3, bad=set(), compression=GZIP) for first in (0, 3))

    assert list(read(LenientRecords(raw))) == list(read(MemoryRecords(raw)))


def test_the_client_itself_still_cannot_read_such_a_record() -> None:
    """When this fails, `lenient_records` has become unnecessary."""
    with pytest.raises(UnicodeDecodeError):
        list(read(MemoryRecords(a_batch(0, count=3, bad={1}, compression=NO_COMPRESSION))))
