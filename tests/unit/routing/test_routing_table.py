"""The picture of all routes: newer documents win, whatever order they come in."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st
from modelyard_events.routes import RouteChanged
from modelyard_routing.decide import decide
from modelyard_routing.decision import RouteDecision, RouteRequest
from modelyard_routing.routing_table import RoutingTable

from tests.routing_builders import a_document, a_version

REQUEST = RouteRequest("default", "risk-scoring")


def a_revision(number: int) -> RouteChanged:
    return a_document(a_version("everyone", number), revision=number)


def number_served(table: RoutingTable) -> int:
    decision = decide(table, REQUEST)
    assert isinstance(decision, RouteDecision)
    return decision.served.version.number


def test_documents_give_the_same_picture_in_whatever_order_they_come() -> None:
    arrivals = [((1, 1), a_revision(1)), ((1, 2), a_revision(2)), ((2, 1), a_revision(3))]

    assert {number_served(RoutingTable().apply_all(order)) for order in permutations(arrivals)} == {3}


def test_a_redelivery_changes_nothing() -> None:
    table = RoutingTable().apply(a_revision(1), order=(1, 1))

    assert table.apply(a_revision(1), order=(1, 1)) is table


def test_a_newer_generation_wins_over_a_higher_sequence() -> None:
    table = RoutingTable().apply(a_revision(9), order=(1, 9))

    assert number_served(table.apply(a_revision(2), order=(2, 2))) == 2


def test_an_earlier_picture_never_changes() -> None:
    earlier = RoutingTable().apply(a_revision(1), order=(1, 1))

    earlier.apply(a_revision(2), order=(1, 2))

    assert number_served(earlier) == 1


def test_a_model_that_left_the_document_no_longer_leads_to_it() -> None:
    table = RoutingTable().apply(a_document(a_version("everyone"), a_version("former")), order=(1, 1))

    after = table.apply(a_document(a_version("everyone")), order=(1, 2))

    assert table.model_types["default", "former"] == "risk-scoring"
    assert ("default", "former") not in after.model_types


def test_routes_of_other_model_types_stay() -> None:
    table = RoutingTable().apply(a_revision(1), order=(1, 1))

    after = table.apply(a_document(model_type="forecasting"), order=(1, 1))

    assert set(after.routes) == {("default", "risk-scoring"), ("default", "forecasting")}


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9)), min_size=1, max_size=20))
def test_one_by_one_and_all_at_once_are_the_same(orders: list[tuple[int, int]]) -> None:
    arrivals = [(order, a_revision(index + 1)) for index, order in enumerate(orders)]
    one_by_one = RoutingTable()
    for order, document in arrivals:
        one_by_one = one_by_one.apply(document, order=order)

    assert number_served(RoutingTable().apply_all(arrivals)) == number_served(one_by_one)
