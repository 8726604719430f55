"""The transition table, the words for stages, and whom a rollback restores."""

from dataclasses import replace
from itertools import product

import pytest
from modelyard_events.values import Stage
from modelyard_registry.lifecycle.domain import (
    TRANSITIONS,
    Need,
    StageUnknownError,
    Standing,
    TransitionRefusedError,
    decide_transition,
    parse_stage,
    transition_table,
)
from modelyard_registry.lifecycle.rollback import (
    ChampionChangedError,
    EarlierChampion,
    NothingToRestoreError,
    decide_rollback,
)
from modelyard_registry.routes.champion_history import AliasMove, Cause, previous_champions

RETIREMENT = TRANSITIONS[(Stage.STAGING, Stage.ARCHIVED)]
READY = Standing(
    model="risk",
    number=3,
    stage=Stage.STAGING,
    quarantined=False,
    is_champion=False,
    endpoint_health="healthy",
    slot_holder=None,
)


def promoted(number: int) -> AliasMove:
    return AliasMove(from_number=None, to_number=number, cause=Cause.PROMOTION)


def rolled_back_to(number: int) -> AliasMove:
    return AliasMove(from_number=None, to_number=number, cause=Cause.ROLLBACK)


REPLACED = AliasMove(from_number=None, to_number=None, cause=Cause.REPLACEMENT)


@pytest.mark.parametrize(("from_stage", "to_stage"), list(product(Stage, Stage)))
def test_a_move_is_possible_exactly_when_the_table_has_it(from_stage: Stage, to_stage: Stage) -> None:
    standing = replace(READY, stage=from_stage)

    if (from_stage, to_stage) in TRANSITIONS:
        assert decide_transition(standing, to_stage=to_stage, replaces=None).to_stage is to_stage
    else:
        with pytest.raises(TransitionRefusedError, match="cannot move"):
            decide_transition(standing, to_stage=to_stage, replaces=None)


def test_a_refusal_lists_the_possible_moves_and_what_each_still_needs() -> None:
    standing = replace(READY, endpoint_health=None)

    with pytest.raises(TransitionRefusedError) as refusal:
        decide_transition(standing, to_stage=Stage.DEPRECATED, replaces=None)

    assert refusal.value.extra["possible"] == [
        {"to_stage": Stage.CANARY, "needs": [Need.ENDPOINT]},
        {"to_stage": Stage.PRODUCTION, "needs": [Need.ENDPOINT]},
        {"to_stage": Stage.DEVELOPMENT, "needs": []},
        {"to_stage": Stage.ARCHIVED, "needs": []},
    ]


@pytest.mark.parametrize("to_stage", [Stage.CANARY, Stage.PRODUCTION])
@pytest.mark.parametrize("health", [None, "unhealthy"])
def test_serving_needs_an_endpoint_that_is_not_unhealthy(to_stage: Stage, health: None) -> None:
    with pytest.raises(TransitionRefusedError) as refusal:
        decide_transition(replace(READY, endpoint_health=health), to_stage=to_stage, replaces=None)

    assert "deployment" in refusal.value.fix


@pytest.mark.parametrize("to_stage", [Stage.CANARY, Stage.PRODUCTION])
def test_a_quarantined_version_is_never_promoted(to_stage: Stage) -> None:
    with pytest.raises(TransitionRefusedError) as refusal:
        decide_transition(replace(READY, quarantined=True), to_stage=to_stage, replaces=None)

    assert "quarantine" in refusal.value.fix


def test_a_champion_is_not_deprecated_and_the_refusal_says_what_to_do() -> None:
    champion = replace(READY, stage=Stage.PRODUCTION, is_champion=True)

    with pytest.raises(TransitionRefusedError) as refusal:
        decide_transition(champion, to_stage=Stage.DEPRECATED, replaces=None)

    assert "roll back, or promote another" in refusal.value.fix


def test_another_models_champion_keeps_the_slot_unless_it_is_named() -> None:
    standing = replace(READY, slot_holder="old-risk")

    with pytest.raises(TransitionRefusedError) as refusal:
        decide_transition(standing, to_stage=Stage.PRODUCTION, replaces=None)
    move = decide_transition(standing, to_stage=Stage.PRODUCTION, replaces="old-risk")

    assert refusal.value.extra["slot_holder"] == "old-risk"
    assert move.becomes_champion
    assert move.replaced == "old-risk"


@pytest.mark.parametrize("holder", [None, "old-risk"])
def test_replacing_a_model_that_does_not_hold_the_slot_is_refused(holder: str | None) -> None:
    with pytest.raises(TransitionRefusedError, match="not the other champion"):
        decide_transition(replace(READY, slot_holder=holder), to_stage=Stage.PRODUCTION, replaces="another")


@pytest.mark.parametrize(
    ("word", "stage"),
    [
        ("none", Stage.DEVELOPMENT),
        ("Staging", Stage.STAGING),
        ("testing", Stage.STAGING),
        ("active", Stage.PRODUCTION),
        ("DEPLOYED", Stage.PRODUCTION),
        ("retired", Stage.ARCHIVED),
        (" canary ", Stage.CANARY),
    ],
)
def test_other_systems_words_for_a_stage_are_understood(word: str, stage: Stage) -> None:
    assert parse_stage(word) is stage


@pytest.mark.parametrize("word", ["evaluating", "approved", "failed", "", "productoin"])
def test_words_that_mean_no_stage_are_refused(word: str) -> None:
    with pytest.raises(StageUnknownError) as refusal:
        parse_stage(word)

    assert "development, staging" in refusal.value.fix


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], ()),
        ([promoted(1)], ()),
        ([promoted(1), promoted(2), promoted(3)], (2, 1)),
        ([promoted(1), promoted(2), promoted(3), rolled_back_to(2)], (1,)),
        ([promoted(1), promoted(2), promoted(1)], (2,)),
        ([promoted(1), promoted(2), rolled_back_to(1), promoted(3)], (1,)),
        ([promoted(1), promoted(2), REPLACED, promoted(3)], (2, 1)),
    ],
)
def test_a_rollback_goes_back_in_history_and_never_to_what_was_rolled_back(
    history: list[AliasMove], expected: tuple[int, ...]
) -> None:
    assert previous_champions(history) == expected


def test_versions_that_may_not_serve_are_skipped() -> None:
    former = [
        EarlierChampion(number=4, stage=Stage.PRODUCTION, quarantined=True),
        EarlierChampion(number=3, stage=Stage.ARCHIVED, quarantined=False),
        EarlierChampion(number=2, stage=Stage.DEPRECATED, quarantined=False),
        EarlierChampion(number=1, stage=Stage.PRODUCTION, quarantined=False),
    ]

    rollback = decide_rollback(model="risk", champion=5, replaces=5, former=former)

    assert (rollback.replaced, rollback.restored.number) == (5, 2)


@pytest.mark.parametrize("champion", [None, 4])
def test_a_rollback_of_another_champion_is_a_conflict(champion: int | None) -> None:
    with pytest.raises(ChampionChangedError, match="not version 5"):
        decide_rollback(model="risk", champion=champion, replaces=5, former=[])


def test_without_an_earlier_champion_there_is_nothing_to_restore() -> None:
    with pytest.raises(NothingToRestoreError):
        decide_rollback(model="risk", champion=5, replaces=5, former=[])


@pytest.mark.parametrize(
    ("move", "needs"),
    [
        ((Stage.DEVELOPMENT, Stage.PRODUCTION), TRANSITIONS[(Stage.STAGING, Stage.PRODUCTION)]),
        ((Stage.DEVELOPMENT, Stage.CANARY), TRANSITIONS[(Stage.STAGING, Stage.CANARY)]),
        ((Stage.ARCHIVED, Stage.STAGING), TRANSITIONS[(Stage.DEVELOPMENT, Stage.STAGING)]),
        ((Stage.PRODUCTION, Stage.STAGING), (Need.NOT_CHAMPION, *RETIREMENT)),
        ((Stage.PRODUCTION, Stage.CANARY), (Need.NOT_CHAMPION, *TRANSITIONS[(Stage.STAGING, Stage.CANARY)])),
        ((Stage.PRODUCTION, Stage.ARCHIVED), (Need.NOT_CHAMPION, *RETIREMENT)),
        ((Stage.CANARY, Stage.DEVELOPMENT), RETIREMENT),
        ((Stage.DEPRECATED, Stage.DEVELOPMENT), RETIREMENT),
        ((Stage.STAGING, Stage.DEPRECATED), ()),
    ],
)
def test_a_move_that_only_a_policy_allows_needs_what_its_stages_need(
    move: tuple[Stage, Stage], needs: tuple[Need, ...]
) -> None:
    assert transition_table({move}) == {move: needs}


def test_a_move_to_a_stage_without_champions_replaces_nobody() -> None:
    standing = replace(READY, slot_holder="old-risk")

    with pytest.raises(TransitionRefusedError, match="not the other champion"):
        decide_transition(standing, to_stage=Stage.CANARY, replaces="old-risk")


def test_a_version_that_does_not_take_the_slot_replaces_nobody() -> None:
    standing = replace(READY, slot_holder="old-risk")

    move = decide_transition(standing, to_stage=Stage.PRODUCTION, replaces=None, takes_slot=False)

    assert not move.becomes_champion
    with pytest.raises(TransitionRefusedError, match="not the other champion"):
        decide_transition(standing, to_stage=Stage.PRODUCTION, replaces="old-risk", takes_slot=False)


def test_a_status_is_told_apart_from_a_word_that_is_no_stage() -> None:
    with pytest.raises(StageUnknownError, match="'approved' is a build or review status"):
        parse_stage("approved")
    with pytest.raises(StageUnknownError, match="'productoin' is no stage"):
        parse_stage("productoin")
