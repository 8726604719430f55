"""Counting what routers and shadow workers say: offset, guards and counts in one transaction."""

from modelyard_runtime.consume import Batch

from modelyard_registry.inbox.applied_once import applied_once
from modelyard_registry.inbox.dedupe import add_to_inbox
from modelyard_registry.inbox.new_facts import select_new
from modelyard_registry.scoreboard import store
from modelyard_registry.scoreboard.domain import tally_replays, tally_requested, tally_variants
from modelyard_registry.transactions import UnitOfWork


class Scoreboard:
    """Applies batches of `inferences.v1` and `shadow-comparisons.v1`, each fact once."""

    def __init__(self, unit_of_work: UnitOfWork, *, group: str) -> None:
        self._unit_of_work = unit_of_work
        self._group = group

    async def on_inferences(self, batch: Batch) -> None:
        """Count exposures, requests and replays that were asked for."""
        async with applied_once(self._unit_of_work, batch, group=self._group) as tx:
            new = await select_new(tx, batch, group=self._group)
            await store.add_variant_counts(tx.connection, tally_variants(new))
            await store.add_to_ledger(tx.connection, tally_requested(new))

    async def on_comparisons(self, batch: Batch) -> None:
        """Count how replays ended. A worker that starts anew may say an end twice: the first one counts."""
        async with applied_once(self._unit_of_work, batch, group=self._group) as tx:
            # The first of several in one batch: later ones do not replace it.
            ends = {each.event.inference_id: each.event for each in reversed(batch.deliveries)}
            new = await add_to_inbox(tx.connection, list(ends), group=self._group, now=tx.now)
            tallies = tally_replays([event for key, event in ends.items() if key in new])
            await store.add_to_ledger(tx.connection, tallies)
