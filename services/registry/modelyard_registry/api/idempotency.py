"""Idempotency keys: a request that is sent again with its key gets its first answer again.

The key's row is part of the request's own transaction, so an answer is kept exactly when its change is.
Two requests with one key at once: the second waits for the first one's row, then answers from it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

from modelyard_runtime.problems import ConflictError
from pydantic import BaseModel

from modelyard_registry.transactions import Transaction

KEY_CHARS_MAX = 200
KEPT_FOR = timedelta(hours=24)

# Whoever uses a key holds it from before the first lock of a model on: a registration writes its key last, and would
# wait there for a request with the same key that waits for the model.
CLAIM_KEY = """
WITH held AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtextextended($1::text || '/' || $2::text, 0)))
INSERT INTO idempotency_keys (actor, key, request, status, answer, created_at)
SELECT $1, $2, $3, 0, 'null', $4 FROM held
ON CONFLICT (actor, key) DO NOTHING
RETURNING key
"""
FIND_KEY = "SELECT request, status, answer FROM idempotency_keys WHERE actor = $1 AND key = $2"
KEEP_ANSWER = "UPDATE idempotency_keys SET status = $3, answer = $4 WHERE actor = $1 AND key = $2"
FORGET_EXPIRED = """
DELETE FROM idempotency_keys WHERE (actor, key) IN (
    SELECT actor, key FROM idempotency_keys WHERE created_at < $1 ORDER BY created_at LIMIT 20 FOR UPDATE SKIP LOCKED
)
"""
HOLD_KEYS = """
SELECT pg_advisory_xact_lock(distinct_keys.id) FROM (
    SELECT DISTINCT hashtextextended(actor || '/' || key, 0) AS id
    FROM unnest($1::text[], $2::text[]) AS given (actor, key) ORDER BY id
) AS distinct_keys
"""


class IdempotencyKeyReusedError(ConflictError):
    """The Idempotency-Key was used for another request."""

    code = "idempotency-key-reused"
    when = "The same Idempotency-Key came before with another method, path or body."
    fix = "Give each request a key of its own, and send a key again only with the very same request."


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An actor's key with the digest of the request that it came with."""

    actor: str
    key: str
    request: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """The first answer to a request, whose digest is `request`."""

    request: bytes
    status: int
    answer: Any

    def refuse_unless_to(self, request: bytes) -> None:
        """Raise IdempotencyKeyReusedError when this answered another request."""
        if self.request != request:
            raise IdempotencyKeyReusedError("This Idempotency-Key came with another request before.")


def digest_of_request(address: str, body: BaseModel | None, *, if_match: Collection[int] | None) -> bytes:
    """What makes two requests the same: method, path and query, the revisions that they accept, and the body.

    A field that is left out is not the same as one that is null: the one keeps what is there, the other removes it.
    """
    accepted = "*" if if_match is None else ",".join(str(revision) for revision in sorted(if_match))
    text = "" if body is None else body.model_dump_json(exclude_unset=True)
    return sha256(f"{address}\n{accepted}\n{text}".encode()).digest()


async def claim_key(tx: Transaction, key: str, *, request: bytes) -> KeptAnswer | None:
    """Reserve `key` for this request, or answer what was answered to it before.

    Raises IdempotencyKeyReusedError when the key belongs to a different request.
    """
    actor = tx.context.actor
    await forget_expired(tx)
    claimed = await tx.connection.fetchval(CLAIM_KEY, actor, key, request, tx.now)
    if claimed is not None:
        return None
    row = await tx.connection.fetchrow(FIND_KEY, actor, key)
    kept = KeptAnswer(**row) if row else KeptAnswer(request=b"", status=0, answer=None)
    kept.refuse_unless_to(request)
    return kept


async def hold_keys(tx: Transaction, claims: Collection[Claim]) -> None:
    """Wait until nobody else uses one of these keys, and keep them until the transaction ends; before other locks."""
    await tx.connection.fetch(HOLD_KEYS, [claim.actor for claim in claims], [claim.key for claim in claims])


async def forget_expired(tx: Transaction) -> None:
    """Forget some answers that are older than `KEPT_FOR`, so that their keys are free again."""
    await tx.connection.execute(FORGET_EXPIRED, tx.now - KEPT_FOR)


async def keep_answer(tx: Transaction, key: str, *, status: int, answer: Any) -> None:
    """Keep the answer to the request that claimed `key`."""
    await tx.connection.execute(KEEP_ANSWER, tx.context.actor, key, status, answer)
