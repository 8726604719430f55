"""Whether a version that goes into production becomes champion: the policy's word, and the measures it asks for."""

from dataclasses import dataclass

from modelyard_events.values import Evidence

from modelyard_registry.gates.domain import why_incomparable
from modelyard_registry.policies.domain import ChampionPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """Whether the alias `champion` moves with a promotion, and why."""

    moves_champion: bool
    reason: str


def decide_succession(
    policy: ChampionPolicy,
    *,
    challenger: Evidence,
    champion: Evidence | None,
    primary_metric: str | None,
    higher_is_better: bool,
) -> Succession:
    """Whether `challenger` follows `champion`, which is None when nothing serves the slot.

    What cannot be compared is not better.
    """
    match policy:
        case ChampionPolicy.AUTO:
            return Succession(moves_champion=True, reason="A promotion moves the champion.")
        case ChampionPolicy.MANUAL:
            reason = "The policy is manual: POST …/champion points the alias at a version in production."
            return Succession(moves_champion=False, reason=reason)
        case ChampionPolicy.IF_BETTER:
            return _if_better(challenger, champion, metric=primary_metric, higher_is_better=higher_is_better)


def _if_better(
    challenger: Evidence, champion: Evidence | None, *, metric: str | None, higher_is_better: bool
) -> Succession:
    if champion is None:
        return Succession(moves_champion=True, reason="There is no champion to be better than.")
    if metric is None:
        return Succession(moves_champion=False, reason="The registered model has no primary metric to compare by.")
    obstacle = why_incomparable(challenger, champion, metric=metric)
    if obstacle is not None:
        return Succession(moves_champion=False, reason=obstacle)
    ours, theirs = challenger.metrics[metric], champion.metrics[metric]
    is_better = ours > theirs if higher_is_better else ours < theirs
    words = "better" if is_better else "not better"
    return Succession(moves_champion=is_better, reason=f"{metric} is {ours:g}, {words} than the champion's {theirs:g}.")
