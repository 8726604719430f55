"""Which version answers when a champion's endpoint fails: the one that a rollback would restore, in PostgreSQL."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from modelyard_events.values import Stage

from modelyard_registry.routes.champion_history import CHAMPION, AliasMove, Cause, previous_champions
from modelyard_registry.routes.domain import ROUTED_ENVIRONMENT, FormerChampion, VersionKey, choose_former
from modelyard_registry.transactions.database import Connection

MOVES_MAX = 100
"""How far back a route looks. A rollback looks further: it is not made with every routing document."""

LOAD_REIGNS = f"""
SELECT m.name AS model, h.from_number, h.to_number, h.cause
FROM registered_models m
JOIN aliases a ON a.registered_model_id = m.id AND a.alias = '{CHAMPION}'
CROSS JOIN LATERAL (
    SELECT id, from_number, to_number, cause FROM alias_moves
    WHERE registered_model_id = m.id AND alias = '{CHAMPION}' ORDER BY id DESC LIMIT $3) h
WHERE m.project = $1 AND m.model_type = $2 ORDER BY m.name, h.id"""

LOAD_FORMER = f"""
SELECT m.name AS model, v.number, v.stage, v.quarantined,
       v.review_status = 'rejected' OR v.build_status = 'failed' AS is_rejected,
       d.endpoint IS NOT NULL AND coalesce(d.agreed_endpoint - 'revision' = d.endpoint - 'revision', true) AS is_agreed
FROM unnest($3::text[], $4::integer[]) AS former (model, number)
JOIN registered_models m ON m.project = $1 AND m.model_type = $2 AND m.name = former.model
JOIN model_versions v ON v.registered_model_id = m.id AND v.number = former.number
LEFT JOIN deployments d ON d.version_id = v.id AND d.environment = '{ROUTED_ENVIRONMENT}'"""


async def load_former(connection: Connection, *, project: str, model_type: str) -> dict[str, VersionKey]:
    """The former champion by registered model, of those models that have a champion and one before."""
    before = await _reigns(connection, project=project, model_type=model_type)
    if not before:
        return {}
    models = [model for model, numbers in before.items() for _ in numbers]
    rows = await connection.fetch(
        LOAD_FORMER, project, model_type, models, [number for numbers in before.values() for number in numbers]
    )
    known = {
        (row["model"], row["number"]): FormerChampion(**{**dict(row), "stage": Stage(row["stage"])}) for row in rows
    }
    chosen = {
        model: choose_former(known[model, number] for number in numbers if (model, number) in known)
        for model, numbers in before.items()
    }
    return {model: key for model, key in chosen.items() if key is not None}


async def _reigns(connection: Connection, *, project: str, model_type: str) -> Mapping[str, Sequence[int]]:
    """Whom a rollback may go back to, the most recent first, by registered model; models with nobody are left out."""
    moves: defaultdict[str, list[AliasMove]] = defaultdict(list)
    for row in await connection.fetch(LOAD_REIGNS, project, model_type, MOVES_MAX):
        move = AliasMove(from_number=row["from_number"], to_number=row["to_number"], cause=Cause(row["cause"]))
        moves[row["model"]].append(move)
    found = {model: previous_champions(history) for model, history in moves.items()}
    return {model: numbers for model, numbers in found.items() if numbers}
