"""How a change is carried out once, and what it answers."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi.responses import Response
from modelyard_runtime.problems import ConflictError
from pydantic import BaseModel

from modelyard_registry.api.calls import Call
from modelyard_registry.api.idempotency import claim_key, digest_of_request, keep_answer
from modelyard_registry.api.preconditions import ReadRevision, check_revision, etag_headers, etag_of
from modelyard_registry.api.refused import Subject, record_refusal
from modelyard_registry.metrics import REFUSALS
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a change answers: a status and a body.

    `kept` is what a repeated request is answered, when that must differ: a secret is shown once and kept nowhere.
    """

    status: int
    body: BaseModel
    kept: BaseModel | None = None


async def carry_out(
    call: Call,
    body: BaseModel | None,
    work: Callable[[Transaction], Awaitable[Answer]],
    *,
    action: AuditAction,
    subject: Subject,
) -> Response:
    """Do `work` in one transaction, once per `Idempotency-Key`, and answer what it answers.

    `If-Match` is compared with the revision of `subject`. A refusal (409, 412) undoes everything and is recorded as
    `<action>.refused` about `subject`, in a transaction of its own.
    """
    try:
        async with call.services.unit_of_work(call.context) as tx:
            return await _once(call, body, work, subject.revision, tx=tx)
    except ConflictError as refusal:
        REFUSALS.labels(refusal.code).inc()
        async with call.services.unit_of_work(call.context) as tx:
            await record_refusal(tx, refusal, action=action, subject=subject)
        raise


async def _once(
    call: Call,
    body: BaseModel | None,
    work: Callable[[Transaction], Awaitable[Answer]],
    revision: ReadRevision | None,
    *,
    tx: Transaction,
) -> Response:
    if call.idempotency_key is None:
        await check_revision(tx, accepted=call.if_match, read=revision)
        return json_response(await work(tx))
    request = digest_of_request(call.address, body, if_match=call.if_match)
    kept = await claim_key(tx, call.idempotency_key, request=request)
    if kept is not None:
        return Response(
            json.dumps(kept.answer),
            status_code=kept.status,
            media_type="application/json",
            headers={"idempotency-replayed": "true", **etag_of(kept.answer.get("revision"))},
        )
    await check_revision(tx, accepted=call.if_match, read=revision)
    answer = await work(tx)
    lasting = (answer.kept or answer.body).model_dump(mode="json")
    await keep_answer(tx, call.idempotency_key, status=answer.status, answer=lasting)
    return json_response(answer)


def json_response(answer: Answer) -> Response:
    """The HTTP answer for an `Answer`."""
    return Response(
        answer.body.model_dump_json(),
        status_code=answer.status,
        media_type="application/json",
        headers=etag_headers(answer.body),
    )
