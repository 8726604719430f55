"""Registrations as callers send them: many share a commit, and each is answered for itself.

A batch locks its models and reads what it depends on in one statement, decides in memory, one registration after
the other, and writes what was accepted in one more. A refusal is recorded with the batch, and takes nothing from
the others. What stands in the way of one of them (a model that is held, a text that cannot be stored) sends it,
or all, to be tried by themselves.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from modelyard_runtime.problems import ConflictError, ProblemError, UnavailableError

from modelyard_registry.api.idempotency import Claim, KeptAnswer, forget_expired, hold_keys
from modelyard_registry.api.preconditions import refuse_unless_accepted
from modelyard_registry.api.refused import Subject, record_refusal
from modelyard_registry.metrics import REFUSALS
from modelyard_registry.models.documents import ModelVersionDocument
from modelyard_registry.models.locks import lock_models
from modelyard_registry.models.store import get_model
from modelyard_registry.registration import store
from modelyard_registry.registration.batch import RegistrationBatch
from modelyard_registry.registration.command import RegisterModelVersion
from modelyard_registry.registration.store import AnswerToKeep, Loaded, Question
from modelyard_registry.transactions import RequestContext, Transaction, UnitOfWork
from modelyard_registry.transactions.audit_actions import AuditAction
from modelyard_registry.transactions.group_commit import GroupCommit, Locked, Results

_BATCH = RequestContext(actor="registry", request_id="registrations", correlation_id=None, causation_id=None)


class KeyBusyError(UnavailableError):
    """Another request with this Idempotency-Key is being answered at this moment."""

    code = "key-busy"
    when = "A request with the same Idempotency-Key, or about the same new model, is being answered now."
    fix = "Send the same request again in a moment."


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A registration that a caller asks for, once per key if there is one, and only at an accepted revision."""

    command: RegisterModelVersion
    context: RequestContext
    claim: Claim | None
    if_match: frozenset[int] | None
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """The answer: a status, the version's document as JSON, and whether it was answered before under its key."""

    status: int
    body: str
    revision: int | None
    is_replayed: bool


class Registrar:
    """Registers versions. Orders of one model are carried out one after the other, those of all models together."""

    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self._unit_of_work = unit_of_work
        self._group_commit = GroupCommit[Order, Registered](self._grouped, self._waiting)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take orders during the block; at its end, what was taken is still carried out."""
        async with self._group_commit.open():
            yield

    async def register(self, order: Order) -> Registered:
        """Carry out one order; what it answers is committed.

        Raises RevisionChangedError, RegisteredModelNotFoundError, what `VersionSeries.decide` raises,
        IdempotencyKeyReusedError, EventTooLargeError, TooBusyError or DatabaseUnavailableError.
        """
        command = order.command
        try:
            return await self._group_commit.submit(order, key=(command.project, command.model), weight=order.size_bytes)
        except ConflictError as refusal:
            REFUSALS.labels(refusal.code).inc()
            raise

    async def _grouped(self, orders: Sequence[Order]) -> Results[Registered]:
        async with self._unit_of_work(_BATCH) as tx:
            await _hold_keys(tx, orders)
            return await _carry_out(tx, orders)

    async def _waiting(self, orders: Sequence[Order]) -> Results[Registered]:
        async with self._unit_of_work(_BATCH) as tx:
            await _hold_keys(tx, orders)
            await lock_models(tx.connection, [(order.command.project, order.command.model) for order in orders])
            return await _carry_out(tx, orders)


async def _hold_keys(tx: Transaction, orders: Sequence[Order]) -> None:
    claims = [order.claim for order in orders if order.claim]
    if claims:
        await forget_expired(tx)
        await hold_keys(tx, claims)


async def _carry_out(tx: Transaction, orders: Sequence[Order]) -> Results[Registered]:
    found = await store.load(tx.connection, [Question(order.command, order.claim) for order in orders])
    batch = _Batch(tx)
    results: Results[Registered] = [
        Locked.LOCKED if loaded is None else await batch.answer(order, loaded)
        for order, loaded in zip(orders, found, strict=True)
    ]
    await batch.save()
    return results


class _Batch:
    """One transaction's orders, carried out in their order."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._registrations = RegistrationBatch(tx)
        self._answers: dict[tuple[str, str], AnswerToKeep] = {}

    async def answer(self, order: Order, loaded: Loaded) -> Registered | Exception:
        """What the order answers, or its refusal, which is recorded if it is one of the present state."""
        tx = self._tx.on_behalf_of(order.context)
        try:
            return self._find_kept(order, loaded) or await self._register(tx, order, loaded)
        except ConflictError as refusal:
            command = order.command
            await record_refusal(
                tx,
                refusal,
                action=AuditAction.MODEL_VERSION_REGISTERED,
                subject=Subject(project=command.project, path=f"registered-models/{command.model}/versions"),
            )
            return refusal
        except ProblemError as problem:
            return problem

    async def save(self) -> None:
        """Write what was accepted. Raises KeyBusyError when somebody else claimed a key meanwhile."""
        if not await self._registrations.save(list(self._answers.values())):
            raise KeyBusyError("Another request with this Idempotency-Key is being answered at this moment.")

    def _find_kept(self, order: Order, loaded: Loaded) -> Registered | None:
        claim = order.claim
        if claim is None:
            return None
        kept = loaded.kept
        given = self._answers.get((claim.actor, claim.key))
        if given is not None:
            kept = KeptAnswer(request=given.claim.request, status=given.status, answer=json.loads(given.body))
        if kept is None:
            return None
        kept.refuse_unless_to(claim.request)
        return Registered(
            status=kept.status,
            body=json.dumps(kept.answer),
            revision=kept.answer.get("revision"),
            is_replayed=True,
        )

    async def _register(self, tx: Transaction, order: Order, loaded: Loaded) -> Registered:
        command, model = order.command, loaded.model
        if model is not None:
            refuse_unless_accepted(model.revision, accepted=order.if_match)
        if model is None or model.is_deleted:
            await get_model(tx.connection, project=command.project, name=command.model)
            raise KeyBusyError(f"{command.model} was made at this moment.", fix="Send the same request again.")
        registration = await self._registrations.register(tx, command, model, loaded.grounds)
        version = registration.version
        answered = Registered(
            status=201 if registration.is_new else 200,
            body=ModelVersionDocument.of(version, project=command.project).model_dump_json(),
            revision=version.revision,
            is_replayed=False,
        )
        if order.claim is not None:
            key = (order.claim.actor, order.claim.key)
            self._answers[key] = AnswerToKeep(claim=order.claim, status=answered.status, body=answered.body)
        return answered
