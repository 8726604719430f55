"""`POST /v1/route`: which version and endpoint serve a request, for callers that ask the endpoint themselves."""

from dataclasses import dataclass, field

import orjson
from modelyard_routing.decision import RouteDecision
from modelyard_routing.receipt import Receipt
from modelyard_routing.routing_table import RoutingTable
from modelyard_runtime.access.principals import Principal
from modelyard_runtime.ids import NewId

from modelyard_router.decider import Decider, refuse_unless_may_predict
from modelyard_router.domain.attributes import attributes_of
from modelyard_router.facts import Facts
from modelyard_router.operations.json_request import json_of


@dataclass(slots=True, kw_only=True)
class RouteOperation:
    """Answers `/v1/route`. Keeps the rendered part of each decision until the routing table changes."""

    decider: Decider
    facts: Facts
    new_id: NewId
    _rendered_from: RoutingTable | None = field(default=None, init=False)
    _rendered: dict[RouteDecision, bytes] = field(default_factory=dict, init=False)

    def answer(self, body: bytes, caller: Principal) -> bytes:
        """Return the decision with its receipt as JSON. Raises ProblemError."""
        refuse_unless_may_predict(caller)
        request = attributes_of(json_of(body)).request
        decision = self.decider.decide(request, caller=caller)
        receipt = self.decider.receipt(decision, request, request_id=self.new_id())
        if receipt.variant is not None:
            self.facts.record_exposure(decision, receipt, request)
        return b'%b,"shadow_version_id":%b,"unit_hash":%b}}' % (
            self._shared(decision),
            orjson.dumps(receipt.shadow_version_id),
            orjson.dumps(receipt.unit_hash),
        )

    def _shared(self, decision: RouteDecision) -> bytes:
        """Return the part of the answer that all requests with this decision share; it is rendered once."""
        table = self.decider.state.table
        if self._rendered_from is not table:
            self._rendered_from = table
            self._rendered.clear()
        rendered = self._rendered.get(decision)
        if rendered is None:
            rendered = self._rendered[decision] = _render(decision)
        return rendered


def _render(decision: RouteDecision) -> bytes:
    version, endpoint = decision.served.version, decision.served.endpoint
    document = {
        "model": version.model,
        "number": version.number,
        "semver": version.semver,
        "version_id": version.version_id,
        "digest": version.digest,
        "stage": version.stage,
        "endpoint": {
            "url": endpoint.url,
            "protocol": endpoint.protocol,
            "inputs": [{"name": feature.name, "datatype": feature.datatype} for feature in endpoint.inputs],
            "timeout_s": endpoint.timeout_s,
        },
        # The receipt is the last member and stays open at its end: what differs between requests follows.
        "receipt": {
            "passed_over": decision.passed_over,
            **dict(zip(Receipt._fields, decision.receipt_facts, strict=False)),
        },
    }
    return orjson.dumps(document)[:-2]
