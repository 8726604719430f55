"""Registrations that are decided one after the other in one transaction, and written together."""

from collections.abc import Sequence
from uuid import UUID

from modelyard_events.topics import MODEL_VERSIONS

from modelyard_registry.registration import store
from modelyard_registry.registration.command import RegisterModelVersion, Registration
from modelyard_registry.registration.domain import (
    Grounds,
    LockedModel,
    VersionSeries,
    registered_fact,
    registered_summary,
)
from modelyard_registry.registration.store import AnswerToKeep, NewVersion
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction


class RegistrationBatch:
    """The versions that a transaction adds, under the locks of their models."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._series: dict[UUID, VersionSeries] = {}
        self._new: list[NewVersion] = []

    async def register(
        self, tx: Transaction, command: RegisterModelVersion, model: LockedModel, grounds: Grounds
    ) -> Registration:
        """Decide a registration after those before it; `tx` is the same transaction, in the name of its caller.

        Raises what `VersionSeries.decide` raises, or EventTooLargeError; then it has left no trace.
        """
        series = self._series.setdefault(model.id, VersionSeries(model))
        registration = series.decide(command, grounds, version_id=UUID(tx.new_id()), now=tx.now, actor=tx.context.actor)
        version = registration.version
        if not registration.is_new:
            return registration
        fact = registered_fact(version, project=model.project)
        await tx.append_fact(
            MODEL_VERSIONS, fact, key=f"{model.project}/{model.name}", sequence=series.last_sequence + 1
        )
        await tx.record_audit(
            project=model.project,
            action=AuditAction.MODEL_VERSION_REGISTERED,
            subject=version.subject,
            after=registered_summary(version, source=command.source),
            digest=version.digest,
        )
        series.add(version)
        self._new.append(NewVersion(series, version))
        return registration

    async def save(self, answers: Sequence[AnswerToKeep]) -> bool:
        """Write the new versions and keep answers; false when one of the answers' keys was taken meanwhile."""
        if not self._new and not answers:
            return True
        return await store.save(self._tx.connection, self._new, answers, now=self._tx.now)
