"""Which facts of a batch were not applied before."""

from typing import Any

from modelyard_runtime.consume import Batch, Delivery

from modelyard_registry.inbox.dedupe import add_to_inbox
from modelyard_registry.inbox.domain import count_missing, select_uncounted
from modelyard_registry.inbox.sequences import keep_sequences, last_sequences
from modelyard_registry.transactions import Transaction


async def select_new(tx: Transaction, batch: Batch, *, group: str) -> list[Delivery[Any]]:
    """The facts that were not applied before, which are remembered.

    A source that numbers its facts is known by its newest number, others by the ids of their facts.
    """
    sources = {each.envelope.source for each in batch.deliveries if each.envelope.sequence is not None}
    known = await last_sequences(tx.connection, sources, topic=batch.topic, partition=batch.partition)
    new, newest = select_uncounted(batch.deliveries, last_sequences=known)
    await keep_sequences(tx.connection, newest, topic=batch.topic, partition=batch.partition, now=tx.now)
    unnumbered = {
        f"{each.envelope.source}#{each.envelope.id}": each
        for each in batch.deliveries
        if each.envelope.sequence is None
    }
    unknown = await add_to_inbox(tx.connection, list(unnumbered), group=group, now=tx.now)
    return [*new, *(each for key, each in unnumbered.items() if key in unknown)]


async def count_gaps(tx: Transaction, batch: Batch) -> int:
    """How many facts the batch's sources have numbered and nobody has got, by the gaps in their numbers."""
    envelopes = [each.envelope for each in batch.deliveries]
    sources = {each.source for each in envelopes}
    known = await last_sequences(tx.connection, sources, topic=batch.topic, partition=batch.partition)
    missing, newest = count_missing(envelopes, last_sequences=known)
    await keep_sequences(tx.connection, newest, topic=batch.topic, partition=batch.partition, now=tx.now)
    return missing
