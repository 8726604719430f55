"""Facts go to the partitions that Kafka's own clients would choose."""

from aiokafka.partitioner import murmur2 as murmur2_of_aiokafka
from hypothesis import given
from hypothesis import strategies as st
from modelyard_router.adapters.batching_producer import murmur2


@given(st.binary(max_size=100))
def test_a_key_hashes_as_in_kafkas_own_clients(key: bytes) -> None:
    assert murmur2(key) == murmur2_of_aiokafka(key)
