"""By which rules an experiment starts."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard_events.routes import RouteChanged
from modelyard_events.values import Endpoint, Protocol, Scope, Stage
from modelyard_registry.experiments.domain import (
    ControlAmbiguousError,
    Experiment,
    ExperimentOverlapsError,
    ExperimentScope,
    NoControlError,
    StartExperiment,
    TreatmentNotRoutableError,
    decide_control,
    decide_variants,
)

from tests.unit.registry.test_routes_domain import a_document, a_version

ENDPOINT = Endpoint(url="http://127.0.0.1:1/infer", protocol=Protocol.OPEN_INFERENCE_V2)
NAMES = st.lists(st.sampled_from("abc"), unique=True, max_size=2).map(tuple)
SCOPES = st.builds(ExperimentScope, tenants=NAMES, industries=NAMES)


def test_the_control_is_what_serves_now_and_shares_add_up() -> None:
    control, treatment = decide_variants(
        a_command(share_bp=2_500), document=a_route(), treatment=a_candidate(), running=()
    )

    assert (control.role, control.model, control.number, control.share_bp) == ("control", "everyone", 1, 7_500)
    assert (treatment.role, treatment.model, treatment.share_bp) == ("treatment", "candidate", 2_500)


def test_the_control_of_an_industry_is_its_own_champion_when_that_one_serves() -> None:
    assert decide_control(a_route(), scope=ExperimentScope(industries=("cars",))).model == "cars"
    assert decide_control(a_route(), scope=ExperimentScope(industries=("boats",))).model == "everyone"


def test_callers_of_different_champions_have_no_common_control() -> None:
    with pytest.raises(ControlAmbiguousError) as refusal:
        decide_control(a_route(), scope=ExperimentScope(industries=("boats", "cars")))

    assert "cars/1, everyone/1" in refusal.value.detail


def test_without_a_champion_or_its_endpoint_there_is_no_control() -> None:
    with pytest.raises(NoControlError):
        decide_control(a_document(), scope=ExperimentScope())
    with pytest.raises(NoControlError):
        decide_control(a_document(a_version("everyone", 1)), scope=ExperimentScope())


@pytest.mark.parametrize(
    "facts",
    [
        {"stage": Stage.DEVELOPMENT},
        {"stage": Stage.STAGING},
        {"stage": Stage.ARCHIVED},
        {"quarantined": True},
        {"endpoint": None},
        {"model": "everyone", "number": 1},
    ],
)
def test_a_treatment_that_cannot_answer_or_is_the_control_is_refused(facts: dict[str, Any]) -> None:
    treatment = a_candidate().model_copy(update=facts)

    with pytest.raises(TreatmentNotRoutableError):
        decide_variants(a_command(), document=a_route(), treatment=treatment, running=())


def test_an_overlap_with_a_running_experiment_is_refused_by_its_name() -> None:
    running = an_experiment(ExperimentScope(tenants=("ca",)))

    with pytest.raises(ExperimentOverlapsError) as refusal:
        decide_variants(a_command(), document=a_route(), treatment=a_candidate(), running=[running])

    assert refusal.value.extra == {"experiment": "running-one"}


def test_a_treatment_that_others_have_not_agreed_to_is_refused() -> None:
    with pytest.raises(TreatmentNotRoutableError, match="before policy demanded that others agree") as refusal:
        decide_variants(a_command(), document=a_route(), treatment=a_candidate(), running=(), is_agreed=False)

    assert refusal.value.extra == {"stage": "canary"}


def test_a_refused_stage_says_where_to_move_the_version() -> None:
    staged = a_candidate().model_copy(update={"stage": Stage.STAGING})

    with pytest.raises(TreatmentNotRoutableError) as refusal:
        decide_variants(a_command(), document=a_route(), treatment=staged, running=())

    assert "/api/v1/projects/bank/registered-models/candidate/versions/4/transitions" in refusal.value.fix


def test_a_scope_is_told_in_words() -> None:
    assert str(ExperimentScope(tenants=("ca", "ny"))) == "tenants ca, ny, all industries"
    assert str(ExperimentScope(industries=("cars",))) == "all tenants, industries cars"


@given(SCOPES, SCOPES)
def test_scopes_meet_exactly_when_some_caller_is_in_both(one: ExperimentScope, other: ExperimentScope) -> None:
    callers = [(tenant, industry) for tenant in "abcx" for industry in "abcx"]

    expected = any(covers(one, *caller) and covers(other, *caller) for caller in callers)

    assert one.intersects(other) == other.intersects(one) == expected


def covers(scope: ExperimentScope, tenant: str, industry: str) -> bool:
    return (not scope.tenants or tenant in scope.tenants) and (not scope.industries or industry in scope.industries)


def a_route() -> RouteChanged:
    cars = a_version(
        "cars",
        1,
        scope=Scope.INDUSTRY,
        industry="cars",
        training_examples=5_000,
        improvement=0.1,
        endpoint=ENDPOINT,
    )
    return a_document(a_version("everyone", 1, endpoint=ENDPOINT), cars)


def a_candidate() -> Any:
    return a_version("candidate", 4, stage=Stage.CANARY, endpoint=ENDPOINT)


def a_command(*, share_bp: int = 1_000, scope: ExperimentScope | None = None) -> StartExperiment:
    return StartExperiment(
        project="bank",
        key="exp",
        model_type="risk",
        hypothesis=None,
        treatment_model="candidate",
        treatment_number=4,
        share_bp=share_bp,
        traffic_bp=10_000,
        scope=scope or ExperimentScope(),
    )


def an_experiment(scope: ExperimentScope) -> Experiment:
    return Experiment(
        id="e",
        project="bank",
        model_type="risk",
        key="running-one",
        salt="s",
        state="running",
        hypothesis=None,
        traffic_bp=10_000,
        scope=scope,
        variants=(),
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        started_by="ada",
    )


def test_an_experiment_names_the_versions_of_its_variants() -> None:
    variants = decide_variants(a_command(), document=a_route(), treatment=a_candidate(), running=())
    experiment = replace(an_experiment(ExperimentScope()), variants=variants[::-1])

    assert experiment.names(model="candidate", number=4)
    assert experiment.names(model="everyone", number=1)
    assert not experiment.names(model="candidate", number=1)
    assert experiment.control.model == "everyone"
    assert experiment.subject == "experiments/running-one"
