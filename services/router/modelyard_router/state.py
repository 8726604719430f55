"""The router's whole state: the routing table, which follows the compacted routes topic."""

from typing import Any

import structlog
from modelyard_events.codec import Poison, Received, Record, Tombstone, decode
from modelyard_events.envelope import RecordOrder
from modelyard_events.routes import RouteChanged
from modelyard_routing.routing_table import RoutingTable
from modelyard_runtime.kafka_connection import KafkaConnection
from modelyard_runtime.state.keys import StateKeys
from modelyard_runtime.state.tail import Seconds, StateTail

from modelyard_router.metrics import ROUTE_AGE, ROUTE_RECORDS, ROUTES

log = structlog.get_logger()


class RoutingState(StateTail):
    """Follows the routes topic, and has the newest routing table."""

    name = "routes"

    def __init__(self, *, kafka: KafkaConnection, topic: str, keys: StateKeys | None, seconds: Seconds) -> None:
        super().__init__(kafka=kafka, topic=topic, keys=keys, seconds=seconds)
        self.table = RoutingTable()

    def holding(self) -> str:
        """Say how many routes there are."""
        return f"{len(self.table.routes)} routes"

    def on_looked(self) -> None:
        """Measure how old the table is."""
        ROUTE_AGE.set(self.age_s)

    def apply(self, records: list[Any]) -> None:
        """Apply the routing documents among the records to the table, in their order."""
        arrivals = [arrival for record in records if (arrival := _arrival(record)) is not None]
        if not arrivals:
            return
        before = self.table
        self.table = before.apply_all(arrivals)
        ROUTES.set(len(self.table.routes))
        for order, document in arrivals:
            self._tell(before, order, document)

    def _tell(self, before: RoutingTable, order: RecordOrder, document: RouteChanged) -> None:
        key = (document.project, document.model_type)
        route, known = self.table.routes[key], before.routes.get(key)
        is_new = route.order == order and route is not known
        ROUTE_RECORDS.labels("applied" if is_new else "stale").inc()
        if is_new and self.has_caught_up:
            log.info("route_applied", project=key[0], model_type=key[1], revision=document.revision)
        for line in route.skipped if is_new else ():
            log.warning("route_part_skipped", project=key[0], model_type=key[1], reason=line)


def _arrival(record: Any) -> tuple[RecordOrder, RouteChanged] | None:
    """Return the routing document in a record and its order. Any other record is counted and ignored."""
    decoded = decode(Record(key=record.key, value=record.value, headers=tuple(record.headers)))
    match decoded:
        case Received(envelope=envelope, event=RouteChanged() as document):
            sequence = document.revision if envelope.sequence is None else envelope.sequence
            return (envelope.generation or 1, sequence), document
        case Tombstone():
            # The registry never deletes a route, it sends an empty document: another writer sent this.
            ROUTE_RECORDS.labels("tombstone").inc()
            log.warning("route_tombstone_ignored", key=repr(record.key))
        case Poison(reason=reason, detail=detail):
            ROUTE_RECORDS.labels("poison").inc()
            log.warning("route_record_ignored", key=repr(record.key), reason=reason, detail=detail)
        case _:
            ROUTE_RECORDS.labels("unknown").inc()
    return None
