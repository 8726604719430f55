"""A decision says who was passed over and why; a refusal names them instead of asking for what is there already."""

from typing import Any

import pytest
from modelyard_events.routes import KillSwitch, RoutableVersion, RouteChanged
from modelyard_events.values import Scope, Stage
from modelyard_routing.decide import decide
from modelyard_routing.decision import Refusal, RouteDecision, RouteRequest
from modelyard_routing.routing_table import RoutingTable

from tests.routing_builders import a_document, a_version, an_experiment, an_industry_version

GLOBAL = a_version("everyone")
TENANT: dict[str, Any] = {"scope": Scope.TENANT, "tenant": "acme"}


def answer_to(document: RouteChanged, **attributes: Any) -> RouteDecision | Refusal:
    return decide(RoutingTable().apply(document, order=(1, 1)), RouteRequest("default", "risk-scoring", **attributes))


def passed(document: RouteChanged, **attributes: Any) -> list[tuple[str, str]]:
    return [(each.version, each.why) for each in answer_to(document, **attributes).passed_over]


@pytest.mark.parametrize(
    ("version", "why"),
    [
        (an_industry_version(training_examples=50), "has 50 training examples; more than 3000 are needed"),
        (an_industry_version(training_examples=None), "training examples is not known"),
        (an_industry_version(improvement=0.03), "is better by 3.00%; more than 5.00% is needed"),
        (an_industry_version(improvement=None), "improvement on the version that it is compared with is not known"),
        (an_industry_version(quarantined=True), "quarantined"),
    ],
)
def test_an_industry_champion_that_does_not_serve_is_named_with_the_reason(version: RoutableVersion, why: str) -> None:
    document = a_document(GLOBAL, version)

    ((name, said),) = passed(document, industry="debt")

    assert name == "debt/1"
    assert why in said
    assert passed(document, industry="cards") == []


def test_nobody_is_passed_over_when_the_first_in_line_answers() -> None:
    assert passed(a_document(GLOBAL, an_industry_version()), industry="debt") == []
    assert passed(a_document(GLOBAL)) == []


def test_a_quarantined_champion_of_a_tenant_is_named_before_that_of_its_industry() -> None:
    quarantined = a_version("acme", quarantined=True, **TENANT)
    document = a_document(GLOBAL, quarantined, an_industry_version(training_examples=50))

    assert [name for name, _ in passed(document, tenant="acme", industry="debt")] == ["acme/1", "debt/1"]
    assert [name for name, _ in passed(document, tenant="acme", industry="cards")] == ["acme/1"]
    assert passed(document, tenant="globex") == []


def test_without_a_route_the_refusal_names_who_was_passed_over() -> None:
    refusal = answer_to(a_document(a_version("everyone", quarantined=True)))

    assert isinstance(refusal, Refusal)
    assert [each.version for each in refusal.passed_over] == ["everyone/1"]
    assert "everyone/1 is champion, but quarantined" in refusal.fix


def test_a_version_in_production_that_nobody_appointed_is_named() -> None:
    refusal = answer_to(a_document(GLOBAL, champions=()))

    assert isinstance(refusal, Refusal)
    assert [(each.version, "nobody" in each.why) for each in refusal.passed_over] == [("everyone/1", True)]


def test_under_a_kill_switch_the_champions_that_do_not_serve_are_named() -> None:
    document = a_document(GLOBAL, an_industry_version(), kill_switches=(KillSwitch(),))

    assert [name for name, why in passed(document, industry="debt") if "kill switch" in why] == ["debt/1"]
    assert passed(document) == []


def test_an_experiment_that_steps_aside_is_named() -> None:
    treatment = a_version("better", quarantined=True)
    document = a_document(GLOBAL, experiments=(an_experiment(GLOBAL, treatment),))
    document = document.model_copy(update={"versions": (GLOBAL, treatment)})

    ((name, why),) = passed(document, unit_id="user-1")

    assert name == "better/1"
    assert "try-it" in why


def test_requests_that_are_answered_alike_get_the_same_object() -> None:
    table = RoutingTable().apply(
        a_document(GLOBAL, a_version("acme", quarantined=True, **TENANT), an_industry_version()), order=(1, 1)
    )
    requests = [RouteRequest("default", "risk-scoring", tenant="acme", industry=each) for each in ("debt", "a", "b")]

    decisions = [[decide(table, request) for request in requests] for _ in range(2)]

    assert decisions[0] == decisions[1]
    assert decisions[0][1] is decisions[0][2]


def test_of_a_version_that_is_not_routable_only_what_is_known_is_said() -> None:
    refusal = answer_to(a_document(GLOBAL), model="everyone", version=77)

    assert isinstance(refusal, Refusal)
    assert "not known to the router as routable" in refusal.detail
    assert "there is no such version" in refusal.detail


def test_under_a_kill_switch_the_champion_of_a_tenant_is_named_too() -> None:
    document = a_document(GLOBAL, a_version("own", **TENANT), an_industry_version(), kill_switches=(KillSwitch(),))

    assert [name for name, _ in passed(document, tenant="acme")] == ["own/1"]
    assert [name for name, _ in passed(document, tenant="acme", industry="debt")] == ["own/1", "debt/1"]
    assert passed(document, tenant="globex") == []


def test_only_a_global_version_in_production_waits_for_its_appointment() -> None:
    waiting = (GLOBAL, a_version("canary", stage=Stage.CANARY), an_industry_version())
    refusal = answer_to(a_document(*waiting, champions=()))

    assert [each.version for each in refusal.passed_over] == ["everyone/1"]


def test_an_experiment_of_some_callers_that_steps_aside_is_not_named_to_the_others() -> None:
    treatment = a_version("better", quarantined=True)
    of_some: list[dict[str, Any]] = [{"tenants": ("acme",)}, {"industries": ("debt",)}]
    for covers in of_some:
        experiment = an_experiment(GLOBAL, treatment, **covers)

        assert passed(a_document(GLOBAL, versions=(GLOBAL, treatment), experiments=(experiment,))) == []
