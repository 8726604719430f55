"""The receipt says why, for whom and what else: version served, fallback, shadow, and never a raw unit id."""

from typing import Any

import pytest
from modelyard_events.routes import RouteChanged
from modelyard_events.values import Stage
from modelyard_routing.decide import decide
from modelyard_routing.decision import Reason, Refusal, RefusalCode, RouteDecision, RouteRequest
from modelyard_routing.receipt import Receipt, receipt_of, shadow_of
from modelyard_routing.routing_table import RoutingTable

from tests.routing_builders import a_champion_of, a_document, a_version, an_endpoint, an_experiment, an_industry_version

GLOBAL = a_version("everyone")
INDUSTRY = an_industry_version("debt")


def decision_of(document: RouteChanged, **caller: str) -> tuple[RouteDecision, RouteRequest]:
    request = RouteRequest("default", "risk-scoring", **caller)
    decision = decide(RoutingTable().apply(document, order=(3, 7)), request)
    assert isinstance(decision, RouteDecision)
    return decision, request


def receipt_for(document: RouteChanged, *, request_id: str = "request-1", **caller: str) -> Receipt:
    decision, request = decision_of(document, **caller)
    return receipt_of(decision, request, request_id=request_id)


def test_a_receipt_says_everything_about_an_assignment() -> None:
    experiment = an_experiment(GLOBAL, INDUSTRY, treatment_bp=10_000)

    receipt = receipt_for(
        a_document(GLOBAL, INDUSTRY, revision=7, experiments=(experiment,)), tenant="acme", unit_id="user-1"
    )

    assert receipt == Receipt(
        reason=Reason.EXPERIMENT,
        project="default",
        model_type="risk-scoring",
        route_revision=7,
        generation=3,
        version_id="debt-1",
        cache_identity=f"default/debt-1/{INDUSTRY.digest}/1",
        experiment="try-it",
        experiment_id="experiment-1",
        variant="treatment",
        propensity=1.0,
        fallback_version_id="everyone-1",
        shadow_version_id="everyone-1",
        unit_hash=receipt.unit_hash,
    )
    assert receipt.unit_hash is not None
    assert len(receipt.unit_hash) == 32


def test_no_raw_unit_id_is_in_a_receipt() -> None:
    receipt = receipt_for(a_document(GLOBAL), unit_id="jane@example.org")

    assert not any("jane" in str(value) for value in receipt)


def test_the_control_falls_back_for_a_treatment_even_when_another_version_is_champion() -> None:
    control = a_version("everyone", 2)
    experiment = an_experiment(control, INDUSTRY, treatment_bp=10_000)
    document = a_document(GLOBAL, versions=(GLOBAL, control, INDUSTRY), experiments=(experiment,))

    assert receipt_for(document, unit_id="user-1").fallback_version_id == "everyone-2"


def test_the_global_champion_falls_back_for_everything_else_but_itself() -> None:
    document = a_document(GLOBAL, INDUSTRY)

    assert receipt_for(document, industry="debt").fallback_version_id == "everyone-1"
    assert receipt_for(document).fallback_version_id is None


def test_the_champion_before_it_falls_back_for_a_champion_and_then_the_global_one() -> None:
    before = an_industry_version(number=9, stage=Stage.DEPRECATED)
    champions = (a_champion_of(GLOBAL), a_champion_of(INDUSTRY, former=before))
    document = a_document(versions=(GLOBAL, INDUSTRY, before), champions=champions)

    decision, _ = decision_of(document, industry="debt")

    assert [each.version.version_id for each in decision.fallbacks] == ["debt-9", "everyone-1"]
    assert receipt_for(document, industry="debt").fallback_version_id == "debt-9"


def test_the_control_and_the_champion_before_it_fall_back_for_a_treatment() -> None:
    before, treatment = a_version("everyone", 7, stage=Stage.DEPRECATED), a_version("everyone", 2, stage=Stage.CANARY)
    document = a_document(
        versions=(GLOBAL, treatment, before),
        champions=(a_champion_of(GLOBAL, former=before),),
        experiments=(an_experiment(GLOBAL, treatment, treatment_bp=10_000),),
    )

    decision, _ = decision_of(document, unit_id="user-1")

    assert [each.version.version_id for each in decision.fallbacks] == ["everyone-1", "everyone-7"]


@pytest.mark.parametrize("facts", [{"quarantined": True}, {"endpoint": None}], ids=["quarantined", "no endpoint"])
def test_a_former_champion_that_cannot_be_served_falls_back_for_nobody(facts: dict[str, Any]) -> None:
    before = a_version("everyone", 7, stage=Stage.DEPRECATED, **facts)
    document = a_document(versions=(GLOBAL, before), champions=(a_champion_of(GLOBAL, former=before),))

    decision, _ = decision_of(document)

    assert decision.fallbacks == ()


def test_a_deprecated_former_champion_is_not_served_to_whoever_names_it() -> None:
    before = a_version("everyone", 7, stage=Stage.DEPRECATED)
    document = a_document(versions=(GLOBAL, before), champions=(a_champion_of(GLOBAL, former=before),))
    table = RoutingTable().apply(document, order=(3, 7))

    answer = decide(table, RouteRequest(project=document.project, model="everyone", version=7))

    assert isinstance(answer, Refusal)
    assert answer.code is RefusalCode.VERSION_NOT_ROUTABLE


def test_a_version_that_cannot_be_served_is_neither_fallback_nor_shadow() -> None:
    document = a_document(a_version("everyone", endpoint=None), INDUSTRY)

    receipt = receipt_for(document, industry="debt")

    assert (receipt.fallback_version_id, receipt.shadow_version_id) == (None, None)


def test_the_global_champion_shadows_an_industry_model_and_nothing_else() -> None:
    tenants_own = a_version("acme-own", scope="tenant", tenant="acme")
    document = a_document(GLOBAL, INDUSTRY, tenants_own)

    assert receipt_for(document, industry="debt").shadow_version_id == "everyone-1"
    assert receipt_for(document, tenant="acme").shadow_version_id is None
    assert receipt_for(document).shadow_version_id is None


def test_a_shadow_sample_takes_its_share_of_requests_and_the_same_ones_again() -> None:
    document = a_document(GLOBAL, INDUSTRY, shadow_sample_bp=2_500)
    decision, _ = decision_of(document, industry="debt")
    ids = [f"request-{number}" for number in range(4_000)]

    first = [shadow_of(decision, request_id=each) is not None for each in ids]
    again = [shadow_of(decision, request_id=each) is not None for each in ids]

    assert first == again
    assert 850 < sum(first) < 1_150


def test_a_changed_endpoint_changes_the_cache_identity() -> None:
    moved = a_version("everyone", endpoint=an_endpoint(revision=2))

    assert receipt_for(a_document(GLOBAL)).cache_identity != receipt_for(a_document(moved)).cache_identity
