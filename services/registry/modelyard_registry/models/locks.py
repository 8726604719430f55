"""Every lock on registered models, and the order in which a transaction takes its locks.

Two transactions that take their locks in one order cannot wait for each other. The order is:

1. `consumer_offsets`: the offset of a batch from Kafka, by the insert that advances it.
2. Idempotency keys: advisory locks, in the order of their hashes.
3. `registered_models`: in the order of their ids, all that a transaction needs in one statement.
4. `project_policies`: shared by transactions that obey the policy, exclusive for one that changes it.
5. `routes`: the row of (project, model type).
6. `audit_chains`: the ends of the chains, by the insert just before the commit.

The model's lock also guards the rows below the model: its versions, aliases, deployments and transition requests.

Transactions that lock no registered model lock `api_tokens`, `signing_keys`, or the advisory locks of the first start
and the migrations. The relay's session locks `relay_position` and holds the advisory lock of the leader. Expired
`idempotency_keys` are locked without waiting.
"""

from collections.abc import Iterable
from uuid import UUID

from modelyard_registry.models.domain import RegisteredModel
from modelyard_registry.models.store import get_model, list_models, model_not_found
from modelyard_registry.transactions.database import Connection

# A lock comes first, and the row is read after it: a row that the locking statement itself reads would show the
# aliases as they were before the wait.
LOCK_MODEL = "SELECT id FROM registered_models WHERE project = $1 AND name = $2 FOR UPDATE"
LOCK_MODEL_BY_ID = "SELECT id FROM registered_models WHERE id = $1 FOR UPDATE"
LOCK_MODELS = """
SELECT m.id FROM registered_models m
WHERE (m.project, m.name) IN (SELECT * FROM unnest($1::text[], $2::text[]))
ORDER BY m.id FOR UPDATE
"""
LOCK_SLOT = """
SELECT o.id FROM registered_models o JOIN registered_models m
  ON o.project = m.project AND o.model_type = m.model_type AND o.scope = m.scope
 AND o.industry IS NOT DISTINCT FROM m.industry AND o.tenant IS NOT DISTINCT FROM m.tenant
WHERE m.project = $1 AND m.name = $2
ORDER BY o.id FOR UPDATE OF o
"""
LOCK_TYPE_OF_MODEL = """
SELECT o.id FROM registered_models o JOIN registered_models m ON o.project = m.project AND o.model_type = m.model_type
WHERE m.project = $1 AND m.name = $2
ORDER BY o.id FOR UPDATE OF o
"""
LOCK_MODEL_TYPE = """
SELECT id FROM registered_models WHERE project = $1 AND model_type = $2 ORDER BY id FOR UPDATE
"""


async def lock_model(connection: Connection, *, project: str, name: str) -> RegisteredModel:
    """Lock a registered model until the transaction ends, and return it. Raises RegisteredModelNotFoundError."""
    await connection.fetchval(LOCK_MODEL, project, name)
    return await get_model(connection, project=project, name=name)


async def lock_model_by_id(connection: Connection, registered_model_id: UUID) -> None:
    """Lock a registered model, whatever its name is by now and whether or not it is deleted."""
    await connection.fetchval(LOCK_MODEL_BY_ID, registered_model_id)


async def lock_models(connection: Connection, names: Iterable[tuple[str, str]]) -> None:
    """Lock registered models, each given by project and name; names that do not exist are left out."""
    distinct = sorted(set(names))
    await connection.fetch(LOCK_MODELS, [project for project, _ in distinct], [name for _, name in distinct])


async def lock_slot(connection: Connection, *, project: str, name: str) -> tuple[RegisteredModel, ...]:
    """Lock and return all registered models of the slot that `name` is in, itself included.

    Raises RegisteredModelNotFoundError.
    """
    locked = await connection.fetch(LOCK_SLOT, project, name)
    if not locked:
        raise await model_not_found(connection, project=project, name=name)
    return await list_models(connection, [row["id"] for row in locked])


async def lock_type_of_model(connection: Connection, *, project: str, name: str) -> None:
    """Lock the registered model and all others of its model type; nothing when there is none of this name.

    For changes that reach experiments, whose variants may be of any model of the type, and for transactions that
    lock the model's slot later: what they hold already comes in the order of ids.
    """
    await connection.fetch(LOCK_TYPE_OF_MODEL, project, name)


async def lock_model_type(connection: Connection, *, project: str, model_type: str) -> None:
    """Lock all registered models of a model type: nothing that selection depends on changes until the commit."""
    await connection.fetch(LOCK_MODEL_TYPE, project, model_type)


def lock_free_models(columns: str, *, names: str) -> str:
    """SQL that locks and selects those models that no other transaction holds; `names` selects project and name.

    This statement reads `columns` itself: it does not wait for a lock, so they are as new as the lock.
    """
    return f"""SELECT {columns} FROM registered_models m WHERE (m.project, m.name) IN ({names})
    ORDER BY m.id FOR UPDATE SKIP LOCKED"""
