"""The order of the rules, each in the words in which it was promised."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard_events.routes import KillSwitch, RouteChanged, SelectionPolicy
from modelyard_events.values import Scope, Stage
from modelyard_routing.decide import decide
from modelyard_routing.decision import Reason, Refusal, RefusalCode, RouteDecision, RouteRequest
from modelyard_routing.routing_table import RoutingTable

from tests.routing_builders import (
    a_document,
    a_version,
    an_experiment,
    an_industry_version,
)

GLOBAL = a_version("everyone")
INDUSTRY = an_industry_version("debt")
TENANT = a_version("acme-own", scope=Scope.TENANT, tenant="acme")


def table_of(*documents: RouteChanged) -> RoutingTable:
    return RoutingTable().apply_all(((1, 1), document) for document in documents)


def a_request(**changes: object) -> RouteRequest:
    return RouteRequest(**{"project": "default", "model_type": "risk-scoring", **changes})  # type: ignore[arg-type]  # The names are the test's.


def served_by(document: RouteChanged, request: RouteRequest) -> tuple[str, Reason]:
    decision = decide(table_of(document), request)
    assert isinstance(decision, RouteDecision), decision
    return decision.served.version.version_id, decision.reason


def refusal_of(document: RouteChanged, request: RouteRequest) -> RefusalCode:
    refusal = decide(table_of(document), request)
    assert isinstance(refusal, Refusal), refusal
    assert refusal.detail.endswith(".")
    assert refusal.fix.endswith(".")
    return refusal.code


@pytest.mark.parametrize(
    ("caller", "version_id", "reason"),
    [
        ({}, "everyone-1", Reason.GLOBAL_CHAMPION),
        ({"tenant": "acme", "industry": "debt"}, "acme-own-1", Reason.TENANT_CHAMPION),
        ({"tenant": "other", "industry": "debt"}, "debt-1", Reason.INDUSTRY_CHAMPION),
        ({"tenant": "other", "industry": "cards"}, "everyone-1", Reason.GLOBAL_CHAMPION),
        ({"model_type": None, "model": "debt"}, "everyone-1", Reason.GLOBAL_CHAMPION),
    ],
)
def test_the_nearest_champion_serves(caller: dict[str, str | None], version_id: str, reason: Reason) -> None:
    document = a_document(GLOBAL, INDUSTRY, TENANT)

    assert served_by(document, a_request(**caller)) == (version_id, reason)


@pytest.mark.parametrize(
    ("evidence", "serves"),
    [
        ({"training_examples": 3_001, "improvement": 0.0501}, True),
        ({"training_examples": 3_000, "improvement": 0.5}, False),
        ({"training_examples": 9_000, "improvement": 0.05}, False),
        ({"training_examples": None, "improvement": 0.5}, False),
        ({"training_examples": 9_000, "improvement": None}, False),
    ],
)
def test_an_industry_champion_serves_only_when_it_is_worth_it(evidence: dict[str, Any], serves: bool) -> None:
    document = a_document(GLOBAL, an_industry_version("debt", **evidence))

    version_id, _ = served_by(document, a_request(industry="debt"))

    assert version_id == ("debt-1" if serves else "everyone-1")


def test_what_is_worth_it_is_policy() -> None:
    policy = SelectionPolicy(training_examples_min=100, improvement_min=0.01)
    modest = an_industry_version("debt", training_examples=101, improvement=0.02)

    assert served_by(a_document(GLOBAL, modest, policy=policy), a_request(industry="debt"))[0] == "debt-1"


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"version": 2}, Reason.FORCED_VERSION),
        ({"version": "2.0.0"}, Reason.FORCED_VERSION),
        ({"alias": "next"}, Reason.FORCED_ALIAS),
    ],
)
def test_an_explicit_version_or_alias_wins_over_everything(asked: dict[str, object], reason: Reason) -> None:
    canary = a_version("everyone", 2, stage=Stage.CANARY, aliases=("next",))
    document = a_document(
        GLOBAL,
        TENANT,
        versions=(GLOBAL, TENANT, canary),
        kill_switches=(KillSwitch(),),
        experiments=(an_experiment(GLOBAL, TENANT),),
    )

    got = served_by(document, a_request(model="everyone", tenant="acme", unit_id="user-1", **asked))

    assert got == ("everyone-2", reason)


def test_an_explicit_version_outside_canary_and_production_is_refused() -> None:
    staged = a_version("everyone", 2, stage=Stage.STAGING, aliases=("next",))
    document = a_document(GLOBAL, versions=(GLOBAL, staged))

    assert refusal_of(document, a_request(model="everyone", version=2)) is RefusalCode.VERSION_NOT_ROUTABLE
    assert refusal_of(document, a_request(model="everyone", alias="next")) is RefusalCode.UNKNOWN_ALIAS


def test_an_explicit_version_that_an_experiment_names_is_routable() -> None:
    staged = a_version("everyone", 2, stage=Stage.STAGING)
    document = a_document(GLOBAL, versions=(GLOBAL, staged), experiments=(an_experiment(GLOBAL, staged),))

    assert served_by(document, a_request(model="everyone", version=2))[0] == "everyone-2"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"version": 9}, RefusalCode.VERSION_NOT_ROUTABLE),
        ({"version": "9.0.0"}, RefusalCode.VERSION_NOT_ROUTABLE),
        ({"alias": "nobody"}, RefusalCode.UNKNOWN_ALIAS),
        ({"version": 1, "model": None}, RefusalCode.VERSION_NOT_ROUTABLE),
    ],
)
def test_an_explicit_version_that_is_not_there_is_refused(asked: dict[str, object], code: RefusalCode) -> None:
    assert refusal_of(a_document(GLOBAL), a_request(**{"model": "everyone", **asked})) is code


def test_a_quarantined_version_is_never_served() -> None:
    bad = a_version("everyone", quarantined=True, aliases=("champion",))
    bad_industry = an_industry_version("debt", quarantined=True)
    document = a_document(bad, bad_industry)

    assert refusal_of(document, a_request(industry="debt")) is RefusalCode.NO_ROUTE
    assert refusal_of(document, a_request(model="everyone", version=1)) is RefusalCode.VERSION_QUARANTINED
    assert refusal_of(document, a_request(model="everyone", alias="champion")) is RefusalCode.VERSION_QUARANTINED


def test_a_quarantined_champion_leaves_its_callers_to_the_next_one() -> None:
    document = a_document(GLOBAL, an_industry_version("debt", quarantined=True))

    assert served_by(document, a_request(industry="debt")) == ("everyone-1", Reason.GLOBAL_CHAMPION)


@pytest.mark.parametrize(
    ("switch", "tenant", "version_id"),
    [
        (KillSwitch(), "acme", "everyone-1"),
        (KillSwitch(tenant="acme"), "acme", "everyone-1"),
        (KillSwitch(tenant="other"), "acme", "acme-own-1"),
    ],
)
def test_a_kill_switch_sends_its_callers_to_the_global_champion(
    switch: KillSwitch, tenant: str, version_id: str
) -> None:
    document = a_document(GLOBAL, TENANT, kill_switches=(switch,))

    assert served_by(document, a_request(tenant=tenant))[0] == version_id


def test_a_kill_switch_stops_experiments() -> None:
    document = a_document(
        GLOBAL,
        INDUSTRY,
        kill_switches=(KillSwitch(),),
        experiments=(an_experiment(GLOBAL, INDUSTRY, treatment_bp=10_000),),
    )

    assert served_by(document, a_request(unit_id="user-1")) == ("everyone-1", Reason.KILL_SWITCH)


@pytest.mark.parametrize(
    ("covers", "caller", "is_in"),
    [
        ({}, {}, True),
        ({"tenants": ("acme",)}, {"tenant": "acme"}, True),
        ({"tenants": ("acme",)}, {"tenant": "other"}, False),
        ({"tenants": ("acme",)}, {}, False),
        ({"industries": ("debt",)}, {"industry": "debt"}, True),
        ({"industries": ("debt",)}, {"industry": "cards"}, False),
        ({"tenants": ("acme",), "industries": ("debt",)}, {"tenant": "acme"}, False),
    ],
)
def test_an_experiment_takes_only_the_callers_that_it_covers(
    covers: dict[str, tuple[str, ...]], caller: dict[str, str], is_in: bool
) -> None:
    experiment = an_experiment(GLOBAL, INDUSTRY, treatment_bp=10_000, **covers)
    document = a_document(GLOBAL, INDUSTRY, experiments=(experiment,))

    decision = decide(table_of(document), a_request(unit_id="user-1", **caller))

    assert isinstance(decision, RouteDecision)
    assert (decision.variant is not None and decision.variant.name == "treatment") is is_in


def test_a_missing_unit_gets_the_control_and_is_left_out_of_the_analysis() -> None:
    document = a_document(GLOBAL, INDUSTRY, experiments=(an_experiment(GLOBAL, INDUSTRY, treatment_bp=10_000),))

    for unit_id in (None, ""):
        decision = decide(table_of(document), a_request(unit_id=unit_id))
        assert isinstance(decision, RouteDecision)
        assert decision.reason is Reason.NO_UNIT
        assert decision.served.version.version_id == "everyone-1"
        assert (decision.variant, decision.propensity) == (None, None)


def test_the_control_of_an_experiment_stays_pinned_when_the_champion_moves_on() -> None:
    successor = a_version("everyone", 2)
    document = a_document(
        successor,
        versions=(GLOBAL, successor, INDUSTRY),
        experiments=(an_experiment(GLOBAL, INDUSTRY, treatment_bp=0),),
    )

    assert served_by(document, a_request(unit_id="user-1")) == ("everyone-1", Reason.EXPERIMENT)


def test_units_outside_the_traffic_are_selected_as_if_there_were_no_experiment() -> None:
    experiment = an_experiment(GLOBAL, INDUSTRY, traffic_bp=0)
    document = a_document(GLOBAL, INDUSTRY, TENANT, experiments=(experiment,))

    got = served_by(document, a_request(unit_id="user-1", tenant="acme"))

    assert got == ("acme-own-1", Reason.TENANT_CHAMPION)


@pytest.mark.parametrize(
    "unfit",
    [
        an_industry_version("debt", quarantined=True),
        an_industry_version("debt", endpoint=None),
    ],
    ids=["quarantined", "without endpoint"],
)
def test_an_experiment_with_an_arm_that_cannot_be_served_steps_aside_whole(
    unfit: object,
) -> None:
    document = a_document(GLOBAL, versions=(GLOBAL, unfit), experiments=(an_experiment(GLOBAL, INDUSTRY),))
    table = table_of(document)

    reasons = {served_by(document, a_request(unit_id=f"user-{number}"))[1] for number in range(20)}

    assert reasons == {Reason.GLOBAL_CHAMPION}
    assert any("try-it" in line for line in table.routes["default", "risk-scoring"].skipped)


def test_a_version_without_endpoint_is_refused_plainly() -> None:
    document = a_document(a_version("everyone", endpoint=None))

    assert refusal_of(document, a_request()) is RefusalCode.ENDPOINT_MISSING
    assert refusal_of(document, a_request(model="everyone", version=1)) is RefusalCode.ENDPOINT_MISSING


@pytest.mark.parametrize(
    "asked",
    [
        {"model_type": "forecasting"},
        {"project": "another"},
        {"model_type": None, "model": "nobody"},
        {"model_type": "forecasting", "model": "everyone"},
        {"model_type": None},
    ],
)
def test_where_nothing_serves_the_answer_is_no_route(asked: dict[str, str | None]) -> None:
    assert refusal_of(a_document(GLOBAL), a_request(**asked)) is RefusalCode.NO_ROUTE


def test_an_empty_document_means_no_route() -> None:
    assert refusal_of(a_document(), a_request()) is RefusalCode.NO_ROUTE


@given(unit_ids=st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=50), ramp=st.data())
def test_a_ramp_moves_units_only_towards_the_treatment(unit_ids: list[str], ramp: st.DataObject) -> None:
    shares = sorted(ramp.draw(st.lists(st.integers(0, 10_000), min_size=2, max_size=4)))
    requests = [a_request(unit_id=unit_id.encode("utf-8", "replace").decode()) for unit_id in unit_ids]
    treated_before: set[RouteRequest] = set()

    for share_bp in shares:
        experiment = an_experiment(GLOBAL, INDUSTRY, treatment_bp=share_bp)
        table = table_of(a_document(GLOBAL, INDUSTRY, experiments=(experiment,)))
        decisions = {request: decide(table, request) for request in requests}
        treated = {
            request
            for request, decision in decisions.items()
            if isinstance(decision, RouteDecision)
            and decision.variant is not None
            and decision.variant.role == "treatment"
        }
        assert treated_before <= treated
        treated_before = treated


def test_a_model_answers_only_for_its_own_model_type() -> None:
    forecast = a_version("forecast")
    table = table_of(a_document(GLOBAL), a_document(forecast, model_type="forecasting"))

    refusal = decide(table, a_request(model_type="forecasting", model="everyone"))

    assert isinstance(refusal, Refusal)
    assert "everyone is of model type risk-scoring, not forecasting" in refusal.detail


@pytest.mark.parametrize("covers", [{"tenants": ("other",)}, {"industries": ("cards",)}])
def test_an_experiment_that_does_not_cover_the_caller_leaves_it_to_the_next_one(covers: dict[str, Any]) -> None:
    first = an_experiment(GLOBAL, INDUSTRY, key="first", **covers)
    second = an_experiment(GLOBAL, INDUSTRY, key="second", treatment_bp=10_000)
    document = a_document(GLOBAL, INDUSTRY, experiments=(first, second))

    decision = decide(table_of(document), a_request(unit_id="user-1", tenant="acme"))

    assert isinstance(decision, RouteDecision)
    assert decision.experiment is not None
    assert decision.experiment.key == "second"


def test_a_version_goes_before_an_alias() -> None:
    document = a_document(GLOBAL, versions=(GLOBAL, a_version("everyone", 2, aliases=("next",))))

    got = served_by(document, a_request(model="everyone", version=1, alias="next"))

    assert got == ("everyone-1", Reason.FORCED_VERSION)


@pytest.mark.parametrize(("treatment_bp", "variant", "propensity"), [(10_000, "treatment", 1.0), (0, "control", 1.0)])
def test_the_propensity_is_the_chance_of_the_variant_that_was_served(
    treatment_bp: int, variant: str, propensity: float
) -> None:
    experiment = an_experiment(GLOBAL, INDUSTRY, treatment_bp=treatment_bp)

    decision = decide(table_of(a_document(GLOBAL, INDUSTRY, experiments=(experiment,))), a_request(unit_id="user-1"))

    assert isinstance(decision, RouteDecision)
    assert decision.variant is not None
    assert (decision.variant.name, decision.propensity) == (variant, propensity)


def test_the_chances_of_both_variants_add_up() -> None:
    document = a_document(GLOBAL, INDUSTRY, experiments=(an_experiment(GLOBAL, INDUSTRY, treatment_bp=2_500),))
    table = table_of(document)

    decisions = [decide(table, a_request(unit_id=f"user-{number}")) for number in range(50)]

    assert {each.propensity for each in decisions if isinstance(each, RouteDecision)} == {0.25, 0.75}
