"""Facts about registered models: each takes the next sequence of its model, under the model's lock."""

from uuid import UUID

from modelyard_events.event import Event
from modelyard_events.topics import MODEL_VERSIONS

from modelyard_registry.transactions import Transaction

NEXT_SEQUENCE = """
UPDATE registered_models SET last_sequence = last_sequence + 1 WHERE id = $1
RETURNING project, name, last_sequence
"""


async def append_model_fact(tx: Transaction, event: Event, *, registered_model_id: UUID) -> None:
    """Write `event` for `model-versions.v1` under `project/model`, with the model's next sequence.

    The caller holds the model's lock (or takes it by this, when this is the only model that it locks).
    """
    row = await tx.connection.fetchrow(NEXT_SEQUENCE, registered_model_id)
    if row is None:
        raise LookupError(f"no registered model has the id {registered_model_id}")
    await tx.append_fact(MODEL_VERSIONS, event, key=f"{row['project']}/{row['name']}", sequence=row["last_sequence"])
