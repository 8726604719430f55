"""Which rule holds when a project and a model say different things, and which table results."""

from typing import Any

import pytest
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
from modelyard_runtime.permissions import Role


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
