"""What a routing document says, from the rows of the moment. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelyard_events.routes import (
    Champion,
    FeatureSource,
    KillSwitch,
    RoutableVersion,
    RouteChanged,
    RunningExperiment,
    SelectionPolicy,
)
from modelyard_events.values import Stage, VersionReference

ROUTED_ENVIRONMENT = "production"
"""The environment whose endpoints the router asks."""

ROUTABLE_STAGES = frozenset({Stage.CANARY, Stage.PRODUCTION})
"""Stages whose versions may answer callers."""

ROUTED_STAGES = frozenset({*ROUTABLE_STAGES, Stage.DEPRECATED})
"""Stages whose versions may be in a routing document: deprecated ones as former champions, or in an experiment."""

RESTORABLE_STAGES = frozenset({Stage.PRODUCTION, Stage.DEPRECATED})
"""Where a former champion stands that may be served again."""

VersionKey = tuple[str, int]
"""A registered model's name and a version's number."""

Slot = tuple[str, str | None, str | None]
"""Scope, industry and tenant: with project and model type, what one champion serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings:
    """What people set about a model type's routing.

    `feature_source_revision` is the last one that was given out: it goes on rising when the feature source
    is removed and set again.
    """

    policy: SelectionPolicy = field(default_factory=SelectionPolicy)
    feature_source: FeatureSource | None = None
    feature_source_revision: int = 0
    kill_switches: tuple[KillSwitch, ...] = ()
    shadow_sample_bp: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionAlias:
    """The alias `champion` of one registered model."""

    model: str
    number: int
    moved_at: datetime
    former: VersionKey | None = None
    """The version that answers when the champion's endpoint fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerChampion:
    """A version that was champion of its registered model before, as far as it may answer in the champion's place.

    `is_rejected` when its review or its build says that it is no good; `is_agreed` when it has an endpoint, and that
    one is as people agreed to it for production.
    """

    model: str
    number: int
    stage: Stage
    quarantined: bool
    is_rejected: bool
    is_agreed: bool

    @property
    def may_serve(self) -> bool:
        """Whether it could be served again as far as it is concerned itself."""
        return self.stage in RESTORABLE_STAGES and not self.quarantined and not self.is_rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteState:
    """Everything about one project and model type that its document is made from.

    `versions` may hold more than what is routable.
    """

    project: str
    model_type: str
    settings: RouteSettings = field(default_factory=RouteSettings)
    versions: Sequence[RoutableVersion] = ()
    champions: Sequence[ChampionAlias] = ()
    experiments: Sequence[RunningExperiment] = ()


def build_document(state: RouteState, *, revision: int) -> RouteChanged:
    """The whole document. Its parts are sorted, so that the same state gives the same document."""
    named = {(variant.model, variant.number) for experiment in state.experiments for variant in experiment.variants}
    named |= {champion.former for champion in state.champions if champion.former is not None}
    routable = {
        (version.model, version.number): version
        for version in state.versions
        if version.stage in ROUTABLE_STAGES or (version.model, version.number) in named
    }
    return RouteChanged(
        project=state.project,
        model_type=state.model_type,
        revision=revision,
        policy=state.settings.policy,
        feature_source=state.settings.feature_source,
        kill_switches=tuple(sorted(state.settings.kill_switches, key=lambda each: each.tenant or "")),
        versions=tuple(version for _, version in sorted(routable.items())),
        champions=_champions(state.champions, routable=routable),
        experiments=tuple(sorted(state.experiments, key=lambda each: each.key)),
        shadow_sample_bp=state.settings.shadow_sample_bp,
    )


def choose_former(former: Iterable[FormerChampion]) -> VersionKey | None:
    """Which of the former champions of a model, the most recent first, answers when its champion's endpoint fails.

    It is the one that a rollback would restore, so that one with another endpoint than people agreed to is not passed
    over for one before it.
    """
    first = next((each for each in former if each.may_serve), None)
    return (first.model, first.number) if first is not None and first.is_agreed else None


def says_the_same(document: RouteChanged, *, stored: dict[str, Any] | None) -> bool:
    """Whether only the revision tells `document` from the stored one; no document is as good as an empty one."""
    if stored is None:
        empty = RouteChanged(project=document.project, model_type=document.model_type, revision=document.revision)
        return document == empty
    fresh = document.model_dump(mode="json")
    return {**fresh, "revision": None} == {**stored, "revision": None}


def select_champion(document: RouteChanged, *, tenant: str | None, industry: str | None) -> RoutableVersion | None:
    """Which champion serves a caller when neither an experiment nor a kill switch covers it.

    The tenant's own; else the industry's, when it was trained on enough examples and improves enough on its
    parent; else the global one. A quarantined version is passed over.
    """
    by_slot = _by_slot(document)
    own = by_slot.get(("tenant", None, tenant)) if tenant is not None else None
    if own is not None:
        return own
    of_industry = by_slot.get(("industry", industry, None)) if industry is not None else None
    if of_industry is not None and _passes(of_industry, document.policy):
        return of_industry
    return by_slot.get(("global", None, None))


def _passes(version: RoutableVersion, policy: SelectionPolicy) -> bool:
    return (
        version.training_examples is not None
        and version.training_examples > policy.training_examples_min
        and version.improvement is not None
        and version.improvement > policy.improvement_min
    )


def _by_slot(document: RouteChanged) -> dict[Slot, RoutableVersion]:
    versions = {(each.model, each.number): each for each in document.versions}
    found = ((champion, versions.get((champion.model, champion.number))) for champion in document.champions)
    return {
        (champion.scope.value, champion.industry, champion.tenant): version
        for champion, version in found
        if version is not None and not version.quarantined
    }


def _champions(
    aliases: Iterable[ChampionAlias], *, routable: dict[VersionKey, RoutableVersion]
) -> tuple[Champion, ...]:
    """One champion per slot: of several models in a slot, the one whose alias moved last."""
    by_slot: dict[Slot, Champion] = {}
    for alias in sorted(aliases, key=lambda each: (each.moved_at, each.model)):
        version = routable.get((alias.model, alias.number))
        if version is None:
            continue
        by_slot[(version.scope.value, version.industry, version.tenant)] = Champion(
            scope=version.scope,
            industry=version.industry,
            tenant=version.tenant,
            model=version.model,
            number=version.number,
            former=_reference(alias.former, routable=routable),
        )
    return tuple(by_slot[slot] for slot in sorted(by_slot, key=lambda slot: (slot[0], *(p or "" for p in slot[1:]))))


def _reference(key: VersionKey | None, *, routable: dict[VersionKey, RoutableVersion]) -> VersionReference | None:
    return VersionReference(model=key[0], number=key[1]) if key is not None and key in routable else None
