"""Changing what an id names, and answering with it as it is then: every change by id goes this way."""

from collections.abc import Awaitable, Callable

from fastapi.responses import Response
from pydantic import BaseModel

from modelyard_registry.api import Answer, Call, Subject, carry_out
from modelyard_registry.approvals.domain import TransitionRequest
from modelyard_registry.compatibility import store
from modelyard_registry.compatibility.documents import (
    ModelDocument,
    VersionDocument,
    WaitingMove,
    WaitingVersionDocument,
)
from modelyard_registry.compatibility.registration import in_project
from modelyard_registry.models.subjects import revision_of_version, subject_of_model
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction


async def change_model(
    call: Call,
    body: BaseModel | None,
    known: store.FoundModel,
    change: Callable[[Transaction], Awaitable[store.FoundModel]],
    *,
    action: AuditAction,
) -> Response:
    """Do `change`, which answers the model as it is to be shown."""

    async def work(tx: Transaction) -> Answer:
        return Answer(status=200, body=ModelDocument.of(await change(tx)))

    subject = subject_of_model(known.project, known.name)
    return await carry_out(in_project(call, known.project), body, work, action=action, subject=subject)


async def change_version(
    call: Call,
    body: BaseModel | None,
    known: store.FoundVersion,
    change: Callable[[Transaction], Awaitable[TransitionRequest | None]],
    *,
    project: str,
    action: AuditAction,
) -> Response:
    """Do `change`, and answer the version; with 202 when `change` answers a request that others must agree to."""

    async def work(tx: Transaction) -> Answer:
        request = await change(tx)
        found = await store.get_version_by_id(tx.connection, project=project, version_id=known.id)
        if request is None:
            return Answer(status=200, body=VersionDocument.of(found))
        waiting = VersionDocument.of(found).model_dump() | {"transition_request": WaitingMove.of(request)}
        return Answer(status=202, body=WaitingVersionDocument.model_validate(waiting))

    subject = Subject(
        project=project,
        path=f"registered-models/{known.model}/versions/{known.number}",
        revision=revision_of_version(project, known.model, known.number),
    )
    return await carry_out(in_project(call, project), body, work, action=action, subject=subject)
