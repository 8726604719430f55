"""The FastStream broker as every service sets it up."""

import logging

from faststream.kafka import KafkaBroker

from modelyard_runtime.kafka_connection import KafkaConnection


def build_broker(*, kafka: KafkaConnection, client_id: str, graceful_timeout_s: float = 15.0) -> KafkaBroker:
    """A broker for subscriptions. `graceful_timeout_s` must exceed the policy's `drain_timeout_s`."""
    return KafkaBroker(
        kafka.bootstrap,
        security=kafka.broker_security(),
        client_id=client_id,
        graceful_timeout=graceful_timeout_s,
        enable_idempotence=True,
        acks="all",
        logger=logging.getLogger(__name__),
        log_level=logging.DEBUG,  # That of its two lines per batch; its errors are errors all the same.
    )
