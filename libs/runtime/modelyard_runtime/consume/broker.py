"""The FastStream broker as every service sets it up."""

import logging

from faststream.kafka import KafkaBroker


def build_broker(*, bootstrap: str, client_id: str, graceful_timeout_s: float = 15.0) -> KafkaBroker:
    """A broker for subscriptions. `graceful_timeout_s` must exceed the policy's `drain_timeout_s`."""
    return KafkaBroker(
        bootstrap,
        client_id=client_id,
        graceful_timeout=graceful_timeout_s,
        enable_idempotence=True,
        acks="all",
        logger=logging.getLogger(__name__),
        log_level=logging.DEBUG,  # That of its two lines per batch; its errors are errors all the same.
    )
