"""Measuring what versions improve on their parents again, when another metric or direction became the primary one."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from modelyard_events.model_changes import Improved, RegisteredModelRemeasured
from modelyard_events.values import Evidence

from modelyard_registry.models.domain import Improvement, RegisteredModel, decide_improvement
from modelyard_registry.models.facts import append_model_fact
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.database import Connection
from modelyard_registry.transactions.statements import Columns, Statement

BATCH_VERSIONS_MAX = 1_000
"""How many versions are looked at together, and told of in one fact."""

# A version without a parent has no improvement by any metric. A parent's model may have another name by now.
CHILDREN = """
SELECT v.id, v.number, v.improvement, v.improvement_reason,
    v.evidence -> 'metrics' -> $3 AS value, v.evidence ->> 'validation_data_version' AS measured_on,
    p.evidence IS NOT NULL AS has_parent, p.evidence -> 'metrics' -> $3 AS parent_value,
    p.evidence ->> 'validation_data_version' AS parent_measured_on
FROM model_versions v LEFT JOIN LATERAL (
    SELECT o.evidence FROM registered_models m JOIN model_versions o ON o.registered_model_id = m.id
    WHERE o.number = (v.evidence -> 'parent' ->> 'number')::integer AND m.id = coalesce(
        (SELECT n.id FROM registered_models n
         WHERE n.project = v.project AND n.name = v.evidence -> 'parent' ->> 'model'),
        (SELECT f.registered_model_id FROM former_model_names f
         WHERE f.project = v.project AND f.name = v.evidence -> 'parent' ->> 'model'))
) AS p ON true
WHERE v.registered_model_id = $1 AND v.number > $2 AND jsonb_typeof(v.evidence -> 'parent') = 'object'
ORDER BY v.number LIMIT $4
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Child:
    id: UUID
    number: int
    before: Improvement
    after: Improvement


SAVE_IMPROVEMENTS = Statement(
    """
UPDATE model_versions v SET improvement = changed.improvement, improvement_reason = changed.reason,
    updated_at = {now}, revision = revision + 1
FROM {changed} WHERE v.id = changed.id
""",
    changed=Columns[_Child](
        id=("uuid", lambda child: child.id),
        improvement=("double precision", lambda child: child.after.value),
        reason=("text", lambda child: child.after.reason),
    ),
    now="timestamptz",
)


async def remeasure(tx: Transaction, model: RegisteredModel) -> int:
    """Measure each version of `model` by its present primary metric; answers how many came out otherwise.

    The caller holds the model's lock, and publishes the route: selection goes by improvements, too.
    """
    count = 0
    async for batch in _batches(tx.connection, model):
        changed = [child for child in batch if child.before != child.after]
        if not changed:
            continue
        await tx.connection.execute(*SAVE_IMPROVEMENTS.bind(changed=changed, now=tx.now))
        remeasured = RegisteredModelRemeasured(
            project=model.project,
            model=model.name,
            primary_metric=model.primary_metric,
            higher_is_better=model.higher_is_better,
            improvements=tuple(Improved(number=each.number, improvement=each.after.value) for each in changed),
        )
        await append_model_fact(tx, remeasured, registered_model_id=model.id)
        count += len(changed)
    return count


async def _batches(connection: Connection, model: RegisteredModel) -> AsyncIterator[list[_Child]]:
    last = 0
    while True:
        rows = await connection.fetch(CHILDREN, model.id, last, model.primary_metric or "", BATCH_VERSIONS_MAX)
        if not rows:
            return
        yield [_measured(row, model) for row in rows]
        last = rows[-1]["number"]


def _measured(row: asyncpg.Record, model: RegisteredModel) -> _Child:
    parent = _evidence(model, row["parent_value"], row["parent_measured_on"]) if row["has_parent"] else None
    after = decide_improvement(
        _evidence(model, row["value"], row["measured_on"]),
        parent,
        primary_metric=model.primary_metric,
        higher_is_better=model.higher_is_better,
    )
    before = Improvement(value=row["improvement"], reason=row["improvement_reason"])
    return _Child(id=row["id"], number=row["number"], before=before, after=after)


def _evidence(model: RegisteredModel, value: Any, measured_on: str | None) -> Evidence:
    metrics = {} if value is None or model.primary_metric is None else {model.primary_metric: value}
    return Evidence(metrics=metrics, validation_data_version=measured_on)
