"""What compiling a document leaves out, and what it gathers from all of its versions."""

from typing import Any

import pytest
from modelyard_events.routes import RoutableVersion, RouteChanged
from modelyard_events.values import Feature, Scope
from modelyard_routing.decision import RouteDecision
from modelyard_routing.route import Route, compile_route

from tests.routing_builders import a_document, a_version, an_endpoint, an_experiment, an_industry_version

GLOBAL = a_version("everyone")


def compiled(document: RouteChanged) -> Route:
    return compile_route(document, order=(1, 1))


def taking(name: str, **datatypes: str) -> RoutableVersion:
    inputs = tuple(Feature.model_validate({"name": each, "datatype": as_}) for each, as_ in datatypes.items())
    return a_version(name, endpoint=an_endpoint(inputs=inputs))


def test_the_datatypes_of_an_input_are_those_of_all_versions() -> None:
    document = a_document(taking("a", amount="FP32", term="INT64"), taking("b", amount="FP64"))

    answer = compiled(document).global_champion

    assert isinstance(answer, RouteDecision)
    declared: Any = answer.route.declared
    assert declared == {"amount": {"FP32", "FP64"}, "term": {"INT64"}}


def test_a_version_that_declares_no_inputs_takes_whatever_there_is() -> None:
    answer = compiled(a_document(taking("a", amount="FP32"), GLOBAL)).global_champion

    assert isinstance(answer, RouteDecision)
    assert answer.route.declared is None


def test_a_version_without_an_endpoint_declares_nothing() -> None:
    silent = a_version("silent", endpoint=None)

    answer = compiled(a_document(taking("a", amount="FP32"), versions=(silent, taking("a", amount="FP32"))))

    assert isinstance(answer.global_champion, RouteDecision)
    declared: Any = answer.global_champion.route.declared
    assert declared == {"amount": {"FP32"}}


def test_a_champion_that_does_not_serve_is_skipped_with_the_reason() -> None:
    skipped = compiled(a_document(a_version("everyone", quarantined=True))).skipped

    assert skipped == ("champion everyone/1 is champion, but quarantined",)


@pytest.mark.parametrize("role", ["control", "treatment"])
def test_an_experiment_without_both_variants_steps_aside(role: str) -> None:
    whole = an_experiment(GLOBAL, an_industry_version())
    half = whole.model_copy(update={"variants": tuple(each for each in whole.variants if each.role == role)})

    route = compiled(a_document(GLOBAL, an_industry_version(), experiments=(half,)))

    assert route.experiments == ()
    assert route.skipped == ("experiment try-it does not have one control and one treatment",)


def test_an_experiment_with_a_version_that_is_not_in_the_document_steps_aside() -> None:
    route = compiled(a_document(GLOBAL, experiments=(an_experiment(GLOBAL, an_industry_version("debt", 2)),)))

    assert route.experiments == ()
    assert route.skipped == ("experiment try-it names debt/2, which is not in the document",)


def test_the_champion_of_a_tenant_is_never_that_of_an_industry() -> None:
    own = a_version("own", scope=Scope.TENANT, tenant="acme", industry="debt")

    route = compiled(a_document(GLOBAL, own))

    assert list(route.tenant_champions) == ["acme"]
    assert route.industry_champions == {}
