"""The one consumer policy: every subscription goes through `consume` or `consume_batches`."""

from modelyard_runtime.consume.broker import build_broker
from modelyard_runtime.consume.consumption import Consumption
from modelyard_runtime.consume.dead_letters import DeadLetters
from modelyard_runtime.consume.delivery import Batch, BatchHandler, Delivery, Handler, Position, RawRecord, Sender
from modelyard_runtime.consume.policy import ConsumePolicy
from modelyard_runtime.consume.senders import FindKey, RefusedSender, Senders
from modelyard_runtime.consume.subscription import consume, consume_batches

__all__ = [
    "Batch",
    "BatchHandler",
    "ConsumePolicy",
    "Consumption",
    "DeadLetters",
    "Delivery",
    "FindKey",
    "Handler",
    "Position",
    "RawRecord",
    "RefusedSender",
    "Sender",
    "Senders",
    "build_broker",
    "consume",
    "consume_batches",
]
