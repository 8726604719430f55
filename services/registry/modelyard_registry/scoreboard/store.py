"""Counts in PostgreSQL: read what was counted, add what is new."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, NamedTuple

from modelyard_registry.scoreboard.domain import PairKey, PairTally, VariantKey, VariantTally
from modelyard_registry.transactions.database import Connection
from modelyard_registry.transactions.statements import Columns, RowInsert, Statement

COLUMN_TYPES = {int: "bigint", float: "double precision"}


def counter_columns(tally: type[VariantTally | PairTally]) -> dict[str, tuple[str, Callable[[Any], Any]]]:
    """The columns of what is added up: each number of a tally is a column of the same name."""
    return {
        field.name: (COLUMN_TYPES[field.type], attrgetter(f"tally.{field.name}"))
        for field in fields(tally)
        if field.type in COLUMN_TYPES
    }


def _additions(tally: type[VariantTally | PairTally]) -> str:
    return ", ".join(f"{name} = known.{name} + excluded.{name}" for name in counter_columns(tally))


class _VariantRow(NamedTuple):
    key: VariantKey
    tally: VariantTally


class _PairRow(NamedTuple):
    key: PairKey
    tally: PairTally


VARIANTS = Columns[_VariantRow](
    project=("text", lambda row: row.key.project),
    key=("text", lambda row: row.key.key),
    variant=("text", lambda row: row.key.variant),
    **counter_columns(VariantTally),
)
PAIRS = Columns[_PairRow](
    project=("text", lambda row: row.key.project),
    model_type=("text", lambda row: row.key.model_type),
    served_version_id=("uuid", lambda row: row.key.served_version_id),
    shadow_version_id=("uuid", lambda row: row.key.shadow_version_id),
    served=("text", lambda row: row.tally.served),
    shadow=("text", lambda row: row.tally.shadow),
    **counter_columns(PairTally),
)
_VARIANT_COUNTERS = ", ".join(counter_columns(VariantTally))
_PAIR_COUNTERS = ", ".join(counter_columns(PairTally))

# A fact about an experiment that this registry does not know (another registry's, a typing error) counts nothing.
ADD_VARIANT_COUNTS = Statement(
    f"""
INSERT INTO variant_counts AS known (experiment_id, variant, {_VARIANT_COUNTERS})
SELECT e.id, counted.variant, {_VARIANT_COUNTERS}
FROM {{counted}} JOIN experiments e ON e.project = counted.project AND e.key = counted.key
    AND EXISTS (SELECT 1 FROM experiment_variants v WHERE v.experiment_id = e.id AND v.name = counted.variant)
ORDER BY e.id, counted.variant
ON CONFLICT (experiment_id, variant) DO UPDATE SET {_additions(VariantTally)}""",
    counted=VARIANTS,
)
# One pair after the other in the order of their keys, so that two transactions cannot wait for each other.
ADD_TO_LEDGER = RowInsert(
    "shadow_ledger AS known",
    PAIRS,
    on_conflict=(
        f"ON CONFLICT (project, model_type, served_version_id, shadow_version_id) DO UPDATE SET {_additions(PairTally)}"
    ),
)

VARIANT_COUNTS = f"""
SELECT variant, {_VARIANT_COUNTERS} FROM variant_counts
WHERE experiment_id = $1::text::uuid ORDER BY variant"""

LEDGER_PAGE = f"""
SELECT model_type, served_version_id::text, shadow_version_id::text, served, shadow, {_PAIR_COUNTERS}
FROM shadow_ledger
WHERE project = $1 AND ($2::text IS NULL OR model_type = $2)
  AND (model_type, served_version_id::text, shadow_version_id::text) > ($3, $4, $5)
ORDER BY model_type, served_version_id::text, shadow_version_id::text LIMIT $6"""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantCount:
    """What was counted for a variant so far. Latency is a sum of milliseconds."""

    variant: str
    exposures: int = 0
    requests: int = 0
    errors: int = 0
    latency_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerPair:
    """A served version and its shadow, with everything that was counted for the two."""

    model_type: str
    served_version_id: str
    shadow_version_id: str
    tally: PairTally


async def add_variant_counts(connection: Connection, tallies: Mapping[VariantKey, VariantTally]) -> None:
    """Add tallies to the counts of the experiments that exist."""
    if tallies:
        rows = [_VariantRow(*item) for item in tallies.items()]
        await connection.execute(*ADD_VARIANT_COUNTS.bind(counted=rows))


async def add_to_ledger(connection: Connection, tallies: Mapping[PairKey, PairTally]) -> None:
    """Add tallies to the ledger."""
    await ADD_TO_LEDGER.write(connection, [_PairRow(*item) for item in sorted(tallies.items(), key=_key)])


async def list_variant_counts(connection: Connection, *, experiment_id: str) -> list[VariantCount]:
    """The counts of an experiment's variants; a variant about which nothing was said is not among them."""
    rows = await connection.fetch(VARIANT_COUNTS, experiment_id)
    return [VariantCount(**dict(row)) for row in rows]


async def list_ledger(
    connection: Connection,
    *,
    project: str,
    model_type: str | None,
    after: tuple[str, str, str],
    limit: int,
) -> list[LedgerPair]:
    """A page of the ledger, by model type and version ids, those after `after`."""
    rows = await connection.fetch(LEDGER_PAGE, project, model_type, *after, limit)
    return [_ledger_pair(dict(row)) for row in rows]


def _ledger_pair(values: dict[str, Any]) -> LedgerPair:
    names = ("model_type", "served_version_id", "shadow_version_id")
    key = {name: values.pop(name) for name in names}
    return LedgerPair(**key, tally=PairTally(**values))


def _key(item: tuple[PairKey, PairTally]) -> PairKey:
    return item[0]
