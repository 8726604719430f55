"""Counts in PostgreSQL: read what was counted, add what is new."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any

from modelyard_registry.database import Connection
from modelyard_registry.scoreboard.domain import PairKey, PairTally, VariantKey, VariantTally

LAST_SEQUENCES = """
SELECT source, last_sequence FROM counted_sequences
WHERE topic = $1 AND partition = $2 AND source = ANY($3::text[])"""

KEEP_SEQUENCES = """
INSERT INTO counted_sequences (source, topic, partition, last_sequence, counted_at)
SELECT each.source, $1, $2, each.last_sequence, $5 FROM unnest($3::text[], $4::bigint[]) AS each (source, last_sequence)
ON CONFLICT (source, topic, partition)
DO UPDATE SET last_sequence = excluded.last_sequence, counted_at = excluded.counted_at"""

ADD_TO_INBOX = """
INSERT INTO inbox (consumer_group, dedupe_key, applied_at)
SELECT $1, key, $3 FROM unnest($2::text[]) AS key ON CONFLICT DO NOTHING RETURNING dedupe_key"""

# A fact about an experiment that is not ours to know (another registry's, a typing error) counts nothing.
ADD_VARIANT_COUNTS = """
INSERT INTO variant_counts AS known (experiment_id, variant, exposures, requests, errors, latency_ms)
SELECT e.id, each.variant, each.exposures, each.requests, each.errors, each.latency_ms
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::float8[])
    AS each (project, key, variant, exposures, requests, errors, latency_ms)
JOIN experiments e ON e.project = each.project AND e.key = each.key
    AND EXISTS (SELECT 1 FROM jsonb_to_recordset(e.variants) AS v (name text) WHERE v.name = each.variant)
ORDER BY e.id, each.variant
ON CONFLICT (experiment_id, variant) DO UPDATE SET
    exposures = known.exposures + excluded.exposures,
    requests = known.requests + excluded.requests,
    errors = known.errors + excluded.errors,
    latency_ms = known.latency_ms + excluded.latency_ms"""

_LEDGER = """requested, compared, failed, expired, dropped, matched, drifted, measured, difference, difference_abs,
    served_latency_ms, shadow_latency_ms"""

ADD_TO_LEDGER = f"""
INSERT INTO shadow_ledger AS known
    (project, model_type, served_version_id, shadow_version_id, served, shadow, {_LEDGER})
VALUES ($1, $2, $3::text::uuid, $4::text::uuid, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
ON CONFLICT (project, model_type, served_version_id, shadow_version_id) DO UPDATE SET
    requested = known.requested + excluded.requested,
    compared = known.compared + excluded.compared,
    failed = known.failed + excluded.failed,
    expired = known.expired + excluded.expired,
    dropped = known.dropped + excluded.dropped,
    matched = known.matched + excluded.matched,
    drifted = known.drifted + excluded.drifted,
    measured = known.measured + excluded.measured,
    difference = known.difference + excluded.difference,
    difference_abs = known.difference_abs + excluded.difference_abs,
    served_latency_ms = known.served_latency_ms + excluded.served_latency_ms,
    shadow_latency_ms = known.shadow_latency_ms + excluded.shadow_latency_ms"""

VARIANT_COUNTS = """
SELECT variant, exposures, requests, errors, latency_ms FROM variant_counts
WHERE experiment_id = $1::text::uuid ORDER BY variant"""

LEDGER_PAGE = f"""
SELECT model_type, served_version_id::text, shadow_version_id::text, served, shadow, {_LEDGER}
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


async def last_sequences(
    connection: Connection, sources: Collection[str], *, topic: str, partition: int
) -> dict[str, int]:
    """The newest sequence that was counted of each source, on that partition."""
    rows = await connection.fetch(LAST_SEQUENCES, topic, partition, list(sources))
    return {row["source"]: row["last_sequence"] for row in rows}


async def keep_sequences(
    connection: Connection, newest: Mapping[str, int], *, topic: str, partition: int, now: datetime
) -> None:
    """Remember how far each source was counted."""
    sources = sorted(newest)
    await connection.execute(KEEP_SEQUENCES, topic, partition, sources, [newest[source] for source in sources], now)


async def add_to_inbox(connection: Connection, keys: Sequence[str], *, group: str, now: datetime) -> set[str]:
    """Remember dedupe keys; returns those that were not known."""
    rows = await connection.fetch(ADD_TO_INBOX, group, sorted(set(keys)), now)
    return {row["dedupe_key"] for row in rows}


async def add_variant_counts(connection: Connection, tallies: Mapping[VariantKey, VariantTally]) -> None:
    """Add tallies to the counts of the experiments that exist."""
    if not tallies:
        return
    rows = [(*key, *astuple(tally)) for key, tally in tallies.items()]
    await connection.execute(ADD_VARIANT_COUNTS, *(list(column) for column in zip(*rows, strict=True)))


async def add_to_ledger(connection: Connection, tallies: Mapping[PairKey, PairTally]) -> None:
    """Add tallies to the ledger, one pair after the other in the order of their keys."""
    if tallies:
        await connection.executemany(
            ADD_TO_LEDGER, [(*key, *astuple(tally)) for key, tally in sorted(tallies.items(), key=_key)]
        )


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
