"""The HTTP door to the shadow ledger."""

from typing import Annotated, Self

from fastapi import APIRouter, Query
from modelyard_events.values import Slug
from modelyard_runtime.access.permissions import Permission
from pydantic import BaseModel

from modelyard_registry.api import (
    Caller,
    Project,
    problems,
    requires,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.paging import Paging, decode_page_token, encode_page_token
from modelyard_registry.scoreboard.store import LedgerPair, list_ledger

router = APIRouter(prefix="/shadow-ledger", tags=["shadow evaluation"], route_class=BoundedRoute)


class LedgerEntry(BaseModel):
    """How the replays of one served version on one shadow ended.

    `adds_up` is true when requested = compared + failed + expired + dropped; until every replay has ended
    and was counted, `in_flight` says how many are missing. Means are over compared replays; differences
    are shadow minus served, in the outputs' own unit, latencies milliseconds.
    """

    model_type: str
    served: str
    served_version_id: str
    shadow: str
    shadow_version_id: str
    requested: int
    compared: int
    failed: int
    expired: int
    dropped: int
    in_flight: int
    adds_up: bool
    matched: int
    drifted: int
    agreement: float | None
    difference_mean: float | None
    difference_abs_mean: float | None
    served_latency_ms_mean: float | None
    shadow_latency_ms_mean: float | None

    @classmethod
    def about(cls, pair: LedgerPair) -> Self:
        """The entry for a pair of versions."""
        tally = pair.tally
        ended = tally.compared + tally.failed + tally.expired + tally.dropped
        return cls(
            model_type=pair.model_type,
            served=tally.served,
            served_version_id=pair.served_version_id,
            shadow=tally.shadow,
            shadow_version_id=pair.shadow_version_id,
            requested=tally.requested,
            compared=tally.compared,
            failed=tally.failed,
            expired=tally.expired,
            dropped=tally.dropped,
            # Ends may be counted before their beginnings: the two come on different topics.
            in_flight=max(tally.requested - ended, 0),
            adds_up=tally.requested == ended,
            matched=tally.matched,
            drifted=tally.drifted,
            agreement=_mean(tally.matched, tally.compared),
            difference_mean=_mean(tally.difference, tally.measured),
            difference_abs_mean=_mean(tally.difference_abs, tally.measured),
            served_latency_ms_mean=_mean(tally.served_latency_ms, tally.compared),
            shadow_latency_ms_mean=_mean(tally.shadow_latency_ms, tally.compared),
        )


class ShadowLedgerPage(BaseModel):
    """A page of the ledger. `adds_up` is true when every entry of the page does."""

    adds_up: bool
    items: list[LedgerEntry]
    next_page_token: str | None = None


@router.get(
    "",
    summary="How replays on shadows ended, per pair of versions",
    responses=problems(),
    dependencies=[requires(Permission.MODELS_READ)],
)
async def get_shadow_ledger(
    call: Caller,
    paging: Paging,
    project: Project,
    model_type: Annotated[Slug | None, Query(description="Only of this model type.")] = None,
) -> ShadowLedgerPage:
    """Each terminal fact is counted once, however often it is delivered."""
    start = decode_page_token(paging.token, shape=(str, str, str)) or ["", "", ""]
    async with call.services.database.reading() as connection:
        found = await list_ledger(
            connection,
            project=project,
            model_type=model_type,
            after=(start[0], start[1], start[2]),
            limit=paging.limit,
        )
    page, token = paging.cut(found, token=_token_after)
    entries = [LedgerEntry.about(each) for each in page]
    return ShadowLedgerPage(adds_up=all(each.adds_up for each in entries), items=entries, next_page_token=token)


def _token_after(pair: LedgerPair) -> str:
    return encode_page_token([pair.model_type, pair.served_version_id, pair.shadow_version_id])


def _mean(total: float, count: int) -> float | None:
    return total / count if count else None
