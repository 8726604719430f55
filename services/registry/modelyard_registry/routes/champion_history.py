"""Who was champion before: read off the moves of the alias `champion`. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

CHAMPION = "champion"
"""The alias that routing follows."""


class Cause(StrEnum):
    """Why an alias moved; all but a setting are about `champion`."""

    PROMOTION = "promotion"
    ROLLBACK = "rollback"
    REPLACEMENT = "replacement"
    """Another registered model took the slot; the alias points at nothing."""
    APPOINTMENT = "appointment"
    """Somebody pointed it at a version in production, as a policy of `manual` wants it."""
    SETTING = "setting"
    """Somebody moved another alias."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasMove:
    """One move of an alias, from its history."""

    from_number: int | None
    to_number: int | None
    cause: Cause


def previous_champions(history: Sequence[AliasMove]) -> tuple[int, ...]:
    """Whom a rollback may go back to, the most recent first; `history` is oldest first.

    Promotions stack up and a rollback takes back what lies above the version that it restored: so a
    second rollback goes further back instead of returning to the version that was just rolled back.
    """
    reigns: list[int] = []
    for move in history:
        if move.to_number is None:
            continue
        if move.cause is Cause.ROLLBACK and move.to_number in reigns:
            del reigns[reigns.index(move.to_number) + 1 :]
            continue
        if move.to_number in reigns:
            reigns.remove(move.to_number)
        reigns.append(move.to_number)
    return tuple(reversed(reigns[:-1]))
