"""Which rule holds when a project and a model say different things, and which table results."""

from datetime import timedelta
from typing import Any

import pytest
from modelyard_events.model_changes import BuildStatus, ReviewStatus
from modelyard_events.values import Evidence, Stage
from modelyard_registry.lifecycle.domain import TRANSITIONS, Need, transition_table
from modelyard_registry.lifecycle.succession import decide_succession
from modelyard_registry.policies.domain import (
    UNSET,
    ChampionPolicy,
    EffectivePolicy,
    Policy,
    PolicyRevision,
    decide_policy,
)
from modelyard_runtime.access.permissions import Role
from pydantic import ValidationError


def revision(**said: Any) -> PolicyRevision:
    return PolicyRevision(revision=1, policy=Policy.model_validate(said))


def rule(count: int, to_stage: str = "production", from_stage: str | None = None) -> dict[str, Any]:
    return {"from_stage": from_stage, "to_stage": to_stage, "approvals": {"count": count}}


def approvals(policy: EffectivePolicy, from_stage: Stage) -> int:
    found = policy.rule_for(from_stage, Stage.PRODUCTION).approvals
    return 0 if found is None else found.count


def test_nothing_is_demanded_by_default() -> None:
    policy = EffectivePolicy()

    assert approvals(policy, Stage.STAGING) == 0
    assert policy.rule_for(Stage.STAGING, Stage.PRODUCTION).gates == ()
    assert (policy.champion, policy.allowed_moves, dict(policy.protected_aliases)) == (ChampionPolicy.AUTO, None, {})


def test_a_rule_for_both_stages_goes_before_one_for_all_and_the_models_before_its_projects() -> None:
    project = revision(moves=[rule(1), rule(2, from_stage="canary")])
    model = revision(moves=[rule(3, from_stage="deprecated")])
    policy = EffectivePolicy(project=project, model=model)

    assert approvals(policy, Stage.STAGING) == 1
    assert approvals(policy, Stage.CANARY) == 2
    assert approvals(policy, Stage.DEPRECATED) == 3


def test_a_models_rule_for_all_stages_goes_before_its_projects_rule_for_one() -> None:
    policy = EffectivePolicy(project=revision(moves=[rule(2, from_stage="canary")]), model=revision(moves=[rule(1)]))

    assert approvals(policy, Stage.CANARY) == 1
    assert [each.approvals for each in policy.document().moves or ()] == [
        policy.rule_for(Stage.CANARY, Stage.PRODUCTION).approvals
    ]


def test_a_model_adds_to_the_aliases_that_its_project_protects() -> None:
    project = revision(protected_aliases=[{"alias": "stable", "role": "approver"}], champion="manual")
    model = revision(protected_aliases=[{"alias": "blessed"}])
    policy = EffectivePolicy(project=project, model=model)

    assert policy.protected_aliases == {"stable": Role.APPROVER, "blessed": Role.ADMIN}
    assert policy.champion is ChampionPolicy.MANUAL


def test_the_same_policy_again_is_no_new_revision() -> None:
    first = decide_policy(UNSET, Policy(champion=ChampionPolicy.MANUAL))

    assert first.revision == 1
    assert decide_policy(first, Policy(champion=ChampionPolicy.MANUAL)) is first
    assert decide_policy(first, Policy()).revision == 2


def test_a_policy_says_which_moves_there_are_and_never_what_they_need() -> None:
    shortcut = (Stage.DEVELOPMENT, Stage.PRODUCTION)
    known = (Stage.STAGING, Stage.CANARY)

    table = transition_table({shortcut, known, (Stage.PRODUCTION, Stage.STAGING)})

    assert set(table[shortcut]) == set(TRANSITIONS[(Stage.STAGING, Stage.PRODUCTION)])
    assert table[known] == TRANSITIONS[known]
    assert Need.NOT_CHAMPION in table[(Stage.PRODUCTION, Stage.STAGING)]
    assert transition_table(None) is TRANSITIONS


@pytest.mark.parametrize(
    ("policy", "challenger", "champion", "moves"),
    [
        ("auto", 0.1, 0.9, True),
        ("manual", 0.9, 0.1, False),
        ("if_better", 0.9, 0.8, True),
        ("if_better", 0.8, 0.8, False),
        ("if_better", 0.7, None, True),
    ],
)
def test_who_follows_the_champion(policy: str, challenger: float, champion: float | None, moves: bool) -> None:
    def measured(auc: float) -> Evidence:
        return Evidence(metrics={"auc": auc}, validation_data_version="holdout-7")

    succession = decide_succession(
        ChampionPolicy(policy),
        challenger=measured(challenger),
        champion=None if champion is None else measured(champion),
        primary_metric="auc",
        higher_is_better=True,
    )

    assert succession.moves_champion is moves


KEYS = [{"key_id": "release", "public_key": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}]
MOVES = [{"from_stage": "staging", "to_stage": "production"}]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"moves": [rule(1), rule(2)]}, "two rules for the same move"),
        ({"protected_aliases": [{"alias": "stable"}, {"alias": "stable"}]}, "names an alias twice"),
        ({"signature_keys": KEYS * 2}, "two keys of the same name"),
        ({"allowed_moves": [{"from_stage": "staging", "to_stage": "staging"}]}, "are the same"),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Policy.model_validate(said)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("build_statuses", ["ready", "evaluating"]),
        ("review_statuses", ["approved"]),
        ("signature_keys", KEYS),
        ("probe", False),
        ("champion", "manual"),
        ("allowed_moves", MOVES),
    ],
)
def test_a_field_is_the_models_else_the_projects_else_the_default(name: str, given: Any) -> None:
    said = revision(**{name: given})
    of_the_model = getattr(EffectivePolicy(model=said), name)

    assert getattr(EffectivePolicy(project=said), name) == of_the_model
    assert getattr(EffectivePolicy(project=said, model=said), name) == of_the_model
    assert getattr(EffectivePolicy(), name) != of_the_model


def test_the_allowed_moves_are_pairs_of_stages() -> None:
    policy = EffectivePolicy(model=revision(allowed_moves=MOVES))

    assert policy.allowed_moves == frozenset({(Stage.STAGING, Stage.PRODUCTION)})


def test_by_default_an_endpoint_is_probed_and_no_key_is_known() -> None:
    assert EffectivePolicy().probe is True
    assert EffectivePolicy().signature_keys == ()


def test_a_models_own_setting_goes_before_its_projects() -> None:
    project, model = revision(probe=False, signature_keys=KEYS), revision(probe=True, signature_keys=[])
    policy = EffectivePolicy(project=project, model=model)

    assert policy.probe is True
    assert policy.signature_keys == ()


def test_the_document_of_a_policy_is_what_holds() -> None:
    policy = EffectivePolicy(project=revision(allowed_moves=MOVES, probe=False), model=revision(moves=[rule(1)]))

    document = policy.document()

    assert document.allowed_moves == policy.project.policy.allowed_moves
    assert document.moves == policy.model.policy.moves
    assert document.probe is False
    assert EffectivePolicy(project=policy.model).document().moves == policy.model.policy.moves


def test_the_rule_by_which_most_people_must_agree_guards_a_stage() -> None:
    policy = EffectivePolicy(model=revision(moves=[rule(1), rule(3, from_stage="canary"), rule(5, "canary")]))
    guard = policy.guard_of(Stage.PRODUCTION)

    assert guard is not None
    assert guard.approvals is not None
    assert guard.approvals.count == 3
    assert policy.guard_of(Stage.STAGING) is None


@pytest.mark.parametrize(
    ("arrivals", "was_agreed"),
    [
        ([], False),
        ([(Stage.STAGING, False)], False),
        ([(Stage.STAGING, True)], True),
        ([(Stage.STAGING, False), (Stage.STAGING, True)], True),
        ([(Stage.CANARY, False)], True),
    ],
)
def test_a_version_was_agreed_to_when_one_of_its_arrivals_fits_the_policy(
    arrivals: list[tuple[Stage, bool]], was_agreed: bool
) -> None:
    free = {"from_stage": "canary", "to_stage": "production"}
    policy = EffectivePolicy(model=revision(moves=[rule(1), free]))

    assert policy.was_agreed(Stage.PRODUCTION, arrivals) is was_agreed
    assert policy.was_agreed(Stage.STAGING, arrivals)


@pytest.mark.parametrize(
    ("build_status", "review_status", "is_admitted"),
    [("ready", "approved", True), ("failed", "approved", False), ("ready", "rejected", False)],
)
def test_a_version_is_admitted_by_both_of_its_statuses(
    build_status: BuildStatus, review_status: ReviewStatus, is_admitted: bool
) -> None:
    admitted = EffectivePolicy().admits(build_status=build_status, review_status=review_status)

    assert admitted is is_admitted


def test_a_request_waits_as_long_as_its_rule_says() -> None:
    policy = EffectivePolicy(model=revision(moves=[{"to_stage": "canary", "expiry_hours": 0.5}]))

    assert policy.rule_for(Stage.STAGING, Stage.CANARY).expires_after == timedelta(minutes=30)
