"""The routing table: all routes. It is immutable; applying a document returns a new table, or the same one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from modelyard_events.envelope import RecordOrder
from modelyard_events.routes import RouteChanged

from modelyard_routing.route import Route, compile_route


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """Every route by (project, model type), and which model type a registered model belongs to."""

    routes: Mapping[tuple[str, str], Route] = field(default_factory=dict)
    model_types: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def apply(self, document: RouteChanged, *, order: RecordOrder) -> "RoutingTable":
        """Return the table with this document, or this table when it already has a newer one."""
        return self.apply_all([(order, document)])

    def apply_all(self, arrivals: Iterable[tuple[RecordOrder, RouteChanged]]) -> "RoutingTable":
        """Return the table after several documents, applied in the order given. One copy is made for all of them."""
        routes: dict[tuple[str, str], Route] = {}
        for order, document in arrivals:
            key = (document.project, document.model_type)
            known = routes.get(key) or self.routes.get(key)
            if known is not None and order <= known.order:
                continue  # A redelivery, or a late record: the newer one already won.
            routes[key] = compile_route(document, order=order)
        if not routes:
            return self
        return RoutingTable({**self.routes, **routes}, self._model_types_with(routes))

    def _model_types_with(self, changed: Mapping[tuple[str, str], Route]) -> dict[tuple[str, str], str]:
        kept = {
            (project, model): model_type
            for (project, model), model_type in self.model_types.items()
            if (project, model_type) not in changed
        }
        for (project, model_type), route in changed.items():
            kept.update({(project, model): model_type for model in route.models})
        return kept
