"""Counting what routers and shadow workers say: offset, guards and counts in one transaction."""

from typing import Any

from modelyard_runtime.consume import Batch, Delivery

from modelyard_registry.offsets import advance_offset, consumer_errors
from modelyard_registry.scoreboard import store
from modelyard_registry.scoreboard.domain import (
    select_uncounted,
    tally_replays,
    tally_requested,
    tally_variants,
)
from modelyard_registry.transactions import RequestContext, Transaction, UnitOfWork


class Scoreboard:
    """Applies batches of `inferences.v1` and `shadow-comparisons.v1`, each fact once."""

    def __init__(self, unit_of_work: UnitOfWork, *, group: str) -> None:
        self._unit_of_work = unit_of_work
        self._group = group

    async def on_inferences(self, batch: Batch) -> None:
        """Count exposures, requests and replays that were asked for."""
        with consumer_errors():
            async with self._unit_of_work(_context(batch)) as tx:
                await advance_offset(tx.connection, batch, group=self._group)
                new = await self._uncounted(tx, batch)
                await store.add_variant_counts(tx.connection, tally_variants(new))
                await store.add_to_ledger(tx.connection, tally_requested(new))

    async def on_comparisons(self, batch: Batch) -> None:
        """Count how replays ended. A worker that starts anew may say an end twice: the first one counts."""
        with consumer_errors():
            async with self._unit_of_work(_context(batch)) as tx:
                await advance_offset(tx.connection, batch, group=self._group)
                # The first of several in one batch: later ones do not replace it.
                ends = {each.event.inference_id: each.event for each in reversed(batch.deliveries)}
                new = await store.add_to_inbox(tx.connection, list(ends), group=self._group, now=tx.now)
                tallies = tally_replays([event for key, event in ends.items() if key in new])
                await store.add_to_ledger(tx.connection, tallies)

    async def _uncounted(self, tx: Transaction, batch: Batch) -> list[Delivery[Any]]:
        """By sequence where the source numbers its facts, by id where it does not."""
        sources = {each.envelope.source for each in batch.deliveries if each.envelope.sequence is not None}
        known = await store.last_sequences(tx.connection, sources, topic=batch.topic, partition=batch.partition)
        new, newest = select_uncounted(batch.deliveries, last_sequences=known)
        await store.keep_sequences(tx.connection, newest, topic=batch.topic, partition=batch.partition, now=tx.now)
        unnumbered = {
            f"{each.envelope.source}#{each.envelope.id}": each
            for each in batch.deliveries
            if each.envelope.sequence is None
        }
        unknown = await store.add_to_inbox(tx.connection, list(unnumbered), group=self._group, now=tx.now)
        return [*new, *(each for key, each in unnumbered.items() if key in unknown)]


def _context(batch: Batch) -> RequestContext:
    return RequestContext(
        actor="registry",
        request_id=f"{batch.topic}/{batch.partition}/{batch.first_offset}",
        correlation_id=None,
        causation_id=None,
    )
