"""Rollback: whom it restores, by the history of the alias `champion`. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from modelyard_events.values import Endpoint, Stage
from modelyard_runtime.problems import ConflictError


class ChampionChangedError(ConflictError):
    """Another version is champion than the one that the rollback wants to replace."""

    code = "champion-changed"
    when = "Another version is champion than `replaces` names."
    fix = "Look at GET …/champion, then name in `replaces` the version that is champion now."


class NothingToRestoreError(ConflictError):
    """There is no earlier champion that could serve again."""

    code = "nothing-to-restore"
    when = "No earlier champion may serve: each is archived, in quarantine, or of a status that policy does not admit."
    fix = "Promote another version instead; it becomes champion with its transition to production."


class EndpointNotAgreedError(ConflictError):
    """The earlier champion answers elsewhere than people agreed to."""

    code = "endpoint-not-agreed"
    when = "The earlier champion's endpoint is not the one that people agreed to for production."
    fix = (
        "Move it to production with a transition, or a transition request where policy demands approvals: then its "
        "endpoint is agreed to again. Or promote another version."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RollBackChampion:
    """The command: take the champion `replaces` back, and restore the one before it."""

    project: str
    model: str
    replaces: int
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierChampion:
    """A version that was champion once, as it stands now."""

    number: int
    stage: Stage
    quarantined: bool
    is_admitted: bool = True
    """Whether policy lets a version with its build and review status be served."""
    endpoint_changes: tuple[str, ...] = ()
    """What is different about its endpoint since people agreed to it for production, in words."""
    endpoint: Endpoint | None = None
    """Where it answers; None without a deployment."""

    @property
    def may_be_restored(self) -> bool:
        """Whether a rollback makes it champion again: it may serve, and answers where people agreed to."""
        return self.may_serve and not self.endpoint_changes

    @property
    def may_serve(self) -> bool:
        """Whether its stage and what people said about it let it be champion again."""
        return self.is_admitted and not self.quarantined and self.stage in (Stage.PRODUCTION, Stage.DEPRECATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """What a rollback does: `replaced` is deprecated, `restored` is champion again."""

    replaced: int
    restored: EarlierChampion


def decide_rollback(*, model: str, champion: int | None, replaces: int, former: Sequence[EarlierChampion]) -> Rollback:
    """Take `replaces` back and restore the first of `former` (most recent first) that may serve.

    A version that answers elsewhere than people agreed to is not restored, and none before it is restored in its
    place: that would let whoever changes an endpoint choose the champion. Raises ChampionChangedError,
    EndpointNotAgreedError or NothingToRestoreError.
    """
    if champion != replaces:
        now = "nothing" if champion is None else f"version {champion}"
        raise ChampionChangedError(
            f"The champion of {model} is {now}, not version {replaces}.",
            fix="Look at GET …/champion, then name in `replaces` the version that you mean to take back.",
            champion=champion,
        )
    for candidate in former:
        if candidate.may_serve:
            _refuse_unless_agreed(candidate, model=model)
            return Rollback(replaced=replaces, restored=candidate)
    raise NothingToRestoreError(
        f"{model} has no earlier champion that is neither archived nor in quarantine, nor of a status that policy"
        " does not admit."
    )


def _refuse_unless_agreed(candidate: EarlierChampion, *, model: str) -> None:
    if candidate.endpoint_changes:
        raise EndpointNotAgreedError(
            f"The earlier champion of {model} is version {candidate.number}, whose endpoint is not the one that was"
            f" agreed to for production: {'; '.join(candidate.endpoint_changes)}.",
            number=candidate.number,
            changed=list(candidate.endpoint_changes),
        )
