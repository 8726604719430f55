"""`training_run.completed` registers a version, once, however often it is delivered."""

from collections.abc import Sequence

from modelyard_events.training import TrainingRunCompleted
from modelyard_runtime.consume import Batch, Delivery

from modelyard_registry.inbox.applied_once import applied_once
from modelyard_registry.models.domain import SemanticVersion
from modelyard_registry.projects.handlers import refuse_unknown_projects
from modelyard_registry.registration.command import RegisterModelVersion
from modelyard_registry.registration.handlers import register_versions
from modelyard_registry.transactions import RequestContext, Transaction, UnitOfWork


class TrainingRuns:
    """Applies batches of `training-runs.v1`: versions and the consumer's offset in one transaction.

    A run that is refused undoes its batch; the consumer then offers the events one by one, and dead-letters only
    the one that is refused again, with the reason.
    """

    def __init__(self, unit_of_work: UnitOfWork, *, group: str) -> None:
        self._unit_of_work = unit_of_work
        self._group = group

    async def on_batch(self, batch: Batch) -> None:
        """Register what the batch reports. Raises PermanentError, TransientError or StaleOffsetError."""
        async with applied_once(self._unit_of_work, batch, group=self._group) as tx:
            await self.on_training_run_completed(tx, batch.deliveries)

    async def on_training_run_completed(
        self, tx: Transaction, deliveries: Sequence[Delivery[TrainingRunCompleted]]
    ) -> None:
        """Register the versions that runs made; the same run and digest make one once."""
        await refuse_unknown_projects(tx, {each.event.project for each in deliveries})
        await register_versions(tx, [(_command(each), _on_behalf_of(tx, each)) for each in deliveries])


def _command(delivery: Delivery[TrainingRunCompleted]) -> RegisterModelVersion:
    event = delivery.event
    return RegisterModelVersion(
        project=event.project,
        model=event.model,
        digest=event.digest,
        run_id=event.run_id,
        semver=SemanticVersion.of(event.semver) if event.semver is not None else None,
        change_type=event.change_type,
        evidence=event.evidence,
        source=delivery.envelope.source,
    )


def _on_behalf_of(tx: Transaction, delivery: Delivery[TrainingRunCompleted]) -> Transaction:
    """The same transaction, in the name of whoever signed the report; unsigned, in the name that it gives itself."""
    envelope, sender = delivery.envelope, delivery.sender
    context = RequestContext(
        actor=sender.actor if sender is not None else f"training-job:{envelope.source}",
        request_id=envelope.id,
        correlation_id=envelope.correlation_id or envelope.id,
        causation_id=envelope.id,
    )
    return tx.on_behalf_of(context)
