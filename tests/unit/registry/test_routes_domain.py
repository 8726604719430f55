"""What a routing document says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from modelyard_events.registry import ExperimentVariant
from modelyard_events.routes import KillSwitch, RoutableVersion, RouteChanged, RunningExperiment, SelectionPolicy
from modelyard_events.values import Scope, Stage, VersionReference
from modelyard_registry.routes.domain import (
    ChampionAlias,
    FormerChampion,
    RouteSettings,
    RouteState,
    build_document,
    choose_former,
    says_the_same,
    select_champion,
)

EARLY, LATE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


def test_a_version_is_routable_by_its_stage_or_because_an_experiment_names_it() -> None:
    versions = [
        a_version("m", 1, stage=Stage.PRODUCTION),
        a_version("m", 2, stage=Stage.CANARY),
        a_version("m", 3, stage=Stage.STAGING),
        a_version("m", 4, stage=Stage.STAGING),
        a_version("m", 5, stage=Stage.ARCHIVED),
    ]

    document = build_document(a_state(versions=versions, experiments=[an_experiment(("m", 1), ("m", 3))]), revision=1)

    assert [each.number for each in document.versions] == [1, 2, 3]


def test_a_champion_that_is_not_routable_any_more_is_none() -> None:
    state = a_state(versions=[a_version("m", 1, stage=Stage.DEPRECATED)], champions=[a_champion("m", 1)])

    assert build_document(state, revision=1).champions == ()


def test_of_two_models_in_a_slot_the_one_whose_alias_moved_last_is_champion() -> None:
    state = a_state(
        versions=[a_version("a", 1), a_version("b", 1)],
        champions=[a_champion("a", 1, moved_at=LATE), a_champion("b", 1, moved_at=EARLY)],
    )

    (champion,) = build_document(state, revision=1).champions

    assert champion.model == "a"


def test_the_same_state_in_another_order_gives_the_same_document() -> None:
    versions = [a_version("a", 1), a_version("b", 1, scope=Scope.INDUSTRY, industry="cars"), a_version("b", 2)]
    champions = [a_champion("a", 1), a_champion("b", 1)]

    one = build_document(a_state(versions=versions, champions=champions), revision=7)
    other = build_document(a_state(versions=versions[::-1], champions=champions[::-1]), revision=7)

    assert one == other
    assert one.revision == 7


def test_only_the_revision_is_no_news_and_neither_is_a_first_empty_document() -> None:
    document = build_document(a_state(versions=[a_version("m", 1)]), revision=5)
    stored = document.model_copy(update={"revision": 4}).model_dump(mode="json")

    assert says_the_same(document, stored=stored)
    assert not says_the_same(document, stored=None)
    assert says_the_same(build_document(a_state(), revision=1), stored=None)
    assert not says_the_same(build_document(a_state(), revision=5), stored=stored)


@pytest.mark.parametrize(
    ("examples", "improvement", "served"),
    [
        (3_001, 0.06, "cars"),
        (3_000, 0.06, "everyone"),
        (3_001, 0.05, "everyone"),
        (None, 0.06, "everyone"),
        (3_001, None, "everyone"),
    ],
)
def test_an_industry_champion_serves_only_above_both_thresholds(
    examples: int | None, improvement: float | None, served: str
) -> None:
    cars = a_version(
        "cars", 1, scope=Scope.INDUSTRY, industry="cars", training_examples=examples, improvement=improvement
    )

    document = a_document(a_version("everyone", 1), cars)

    assert name_of(select_champion(document, tenant=None, industry="cars")) == served
    assert name_of(select_champion(document, tenant=None, industry="boats")) == "everyone"


def test_a_tenants_own_champion_serves_before_all_others_unless_it_is_quarantined() -> None:
    own = a_version("own", 1, scope=Scope.TENANT, tenant="ca")
    document = a_document(a_version("everyone", 1), own)
    quarantined = a_document(a_version("everyone", 1), own.model_copy(update={"quarantined": True}))

    assert name_of(select_champion(document, tenant="ca", industry="cars")) == "own"
    assert name_of(select_champion(document, tenant="ny", industry="cars")) == "everyone"
    assert name_of(select_champion(quarantined, tenant="ca", industry="cars")) == "everyone"


def test_without_any_champion_nothing_is_selected() -> None:
    assert select_champion(a_document(), tenant="ca", industry="cars") is None


def test_thresholds_are_policy() -> None:
    cars = a_version("cars", 1, scope=Scope.INDUSTRY, industry="cars", training_examples=11, improvement=0.2)
    settings = RouteSettings(policy=SelectionPolicy(training_examples_min=10, improvement_min=0.1))
    state = a_state(versions=[cars], champions=[a_champion("cars", 1)], settings=settings)

    document = build_document(state, revision=1)

    assert name_of(select_champion(document, tenant=None, industry="cars")) == "cars"


def a_version(model: str, number: int, **facts: Any) -> RoutableVersion:
    return RoutableVersion.model_validate(
        {
            "version_id": f"{model}-{number}",
            "model": model,
            "number": number,
            "semver": "1.0.0",
            "stage": Stage.PRODUCTION,
            "scope": Scope.GLOBAL,
            "digest": f"sha256:{'0' * 64}",
            **facts,
        }
    )


def a_champion(
    model: str, number: int, *, moved_at: datetime = EARLY, former: tuple[str, int] | None = None
) -> ChampionAlias:
    return ChampionAlias(model=model, number=number, moved_at=moved_at, former=former)


def an_experiment(control: tuple[str, int], treatment: tuple[str, int]) -> RunningExperiment:
    variants = (
        ExperimentVariant(name="control", role="control", model=control[0], number=control[1], share_bp=9_000),
        ExperimentVariant(name="treatment", role="treatment", model=treatment[0], number=treatment[1], share_bp=1_000),
    )
    return RunningExperiment(experiment_id="e", key="exp", salt="s", variants=variants)


def a_state(**parts: Any) -> RouteState:
    return RouteState(project="bank", model_type="risk", **parts)


def a_document(*versions: RoutableVersion) -> RouteChanged:
    champions = [a_champion(each.model, each.number) for each in versions]
    return build_document(a_state(versions=versions, champions=champions), revision=1)


def name_of(version: RoutableVersion | None) -> str | None:
    return version.model if version is not None else None


def test_a_former_champion_is_in_the_document_as_long_as_its_version_is_known() -> None:
    state = a_state(
        versions=[a_version("m", 2), a_version("m", 1, stage=Stage.DEPRECATED)],
        champions=[a_champion("m", 2, former=("m", 1))],
    )

    document = build_document(state, revision=1)

    assert [each.number for each in document.versions] == [1, 2]
    assert document.champions[0].former == VersionReference(model="m", number=1)


@pytest.mark.parametrize("former", [None, ("m", 9)])
def test_a_champion_without_a_known_former_one_has_none(former: tuple[str, int] | None) -> None:
    state = a_state(versions=[a_version("m", 2)], champions=[a_champion("m", 2, former=former)])

    (champion,) = build_document(state, revision=1).champions

    assert champion.former is None


def test_a_champion_that_is_not_routable_does_not_hide_the_others() -> None:
    state = a_state(versions=[a_version("b", 1)], champions=[a_champion("a", 1), a_champion("b", 1)])

    assert [each.model for each in build_document(state, revision=1).champions] == ["b"]


def test_champions_and_kill_switches_are_in_the_order_of_whom_they_are_for() -> None:
    def of(industry: str) -> RoutableVersion:
        return a_version(industry, 1, scope=Scope.INDUSTRY, industry=industry)

    def own(tenant: str) -> RoutableVersion:
        return a_version(tenant, 1, scope=Scope.TENANT, tenant=tenant)

    versions = [of("cars"), of("boats"), own("ny"), own("ca"), a_version("everyone", 1)]
    champions = [
        a_champion(each.model, 1, moved_at=EARLY + timedelta(hours=hour)) for hour, each in enumerate(versions)
    ]
    switches = (KillSwitch(tenant="ny"), KillSwitch(), KillSwitch(tenant="ca"))

    document = build_document(
        a_state(versions=versions, champions=champions, settings=RouteSettings(kill_switches=switches)), revision=1
    )

    assert [each.model for each in document.champions] == ["everyone", "boats", "cars", "ca", "ny"]
    assert [each.tenant for each in document.kill_switches] == [None, "ca", "ny"]


def test_an_unknown_caller_gets_the_global_champion() -> None:
    document = a_document(a_version("everyone", 1), a_version("own", 1, scope=Scope.TENANT, tenant="ca"))

    assert name_of(select_champion(document, tenant=None, industry=None)) == "everyone"


@pytest.mark.parametrize(
    ("facts", "may_serve"),
    [
        ({}, True),
        ({"stage": Stage.DEPRECATED}, True),
        ({"stage": Stage.ARCHIVED}, False),
        ({"quarantined": True}, False),
        ({"is_rejected": True}, False),
    ],
)
def test_a_former_champion_may_serve_again(facts: dict[str, Any], may_serve: bool) -> None:
    assert a_former(1, **facts).may_serve is may_serve


def test_the_latest_former_champion_that_may_serve_answers_when_its_endpoint_was_agreed_to() -> None:
    assert choose_former([a_former(3, quarantined=True), a_former(2), a_former(1)]) == ("m", 2)
    assert choose_former([a_former(2, is_agreed=False), a_former(1)]) is None
    assert choose_former([]) is None


def a_former(number: int, **facts: Any) -> FormerChampion:
    ordinary: dict[str, Any] = {
        "stage": Stage.PRODUCTION,
        "quarantined": False,
        "is_rejected": False,
        "is_agreed": True,
    }
    return FormerChampion(model="m", number=number, **{**ordinary, **facts})
