"""The decision in process, against GrowthBook's Python SDK evaluating one experiment, its instance reused.

The request is made anew for each decision, as GrowthBook's attributes are. GrowthBook hashes with the faster of
its two versions.
"""

import time
from collections.abc import Callable
from itertools import cycle

from growthbook import GrowthBook
from modelyard_events.registry import ExperimentVariant
from modelyard_events.routes import Champion, RoutableVersion, RouteChanged, RunningExperiment
from modelyard_events.values import Endpoint, Protocol, Scope, Stage
from modelyard_routing.decide import decide
from modelyard_routing.decision import RouteDecision, RouteRequest
from modelyard_routing.receipt import receipt_of
from modelyard_routing.routing_table import RoutingTable

from benchmarks.report import Line, at_least

ROUNDS = 7
CALLS = 20_000
KEY = "debt-q4"
RULE = {"variations": ["control", "treatment"], "coverage": 1, "weights": [0.5, 0.5], "hashAttribute": "id"}
TARGETED_KEY = "debt-champion"
TARGETING = {"condition": {"industry": "debt"}, "force": "debt"}
UNITS = [f"user-{number}" for number in range(1_000)]


def measure() -> list[Line]:
    """Nanoseconds per decision, best of several rounds taken in turns."""
    plain, tested = a_table(with_experiment=False), a_table(with_experiment=True)
    units = cycle(UNITS)

    def decide_plainly() -> None:
        decide(plain, RouteRequest("default", "risk_scoring", None, "CA", "debt", next(units)))

    def decide_with_receipt() -> None:
        request = RouteRequest("default", "risk_scoring", None, "CA", "debt", next(units))
        decision = decide(tested, request)
        assert isinstance(decision, RouteDecision)
        receipt_of(decision, request, request_id="r-1")

    features = {
        KEY: {"defaultValue": "control", "rules": [RULE]},
        TARGETED_KEY: {"defaultValue": "global", "rules": [TARGETING]},
    }
    client = GrowthBook(enabled=True, features=features)

    def evaluate_growthbook() -> None:
        client.set_attributes({"id": next(units)})
        client.eval_feature(KEY)

    def target_with_growthbook() -> None:
        client.set_attributes({"id": next(units), "tenant": "CA", "industry": "debt"})
        client.eval_feature(TARGETED_KEY)

    ours, receipt, reference, targeting = _best_of(
        decide_plainly, decide_with_receipt, evaluate_growthbook, target_with_growthbook
    )
    return [
        _line("decision, plain", ours, reference, bound=40),
        _line("decision in an experiment, with full receipt", receipt, reference, bound=10),
        _line("decision, plain, against a targeting rule that hashes nothing", ours, targeting, bound=None),
    ]


def a_table(*, with_experiment: bool) -> RoutingTable:
    """A routing table with one global and one industry champion, and a running experiment if wanted."""
    versions = (
        _version("global", 1, Scope.GLOBAL),
        _version("debt", 1, Scope.INDUSTRY),
        _version("debt", 2, Scope.INDUSTRY),
    )
    experiment = RunningExperiment(
        experiment_id="01998a11-0000-7000-8000-00000000000a",
        key="debt-q4",
        salt="7f9c1a52d0e84b1c",
        variants=(
            ExperimentVariant(name="control", role="control", model="debt", number=1, share_bp=5_000),
            ExperimentVariant(name="treatment", role="treatment", model="debt", number=2, share_bp=5_000),
        ),
    )
    document = RouteChanged(
        project="default",
        model_type="risk_scoring",
        revision=1,
        versions=versions,
        champions=(
            Champion(scope=Scope.GLOBAL, model="global", number=1),
            Champion(scope=Scope.INDUSTRY, industry="debt", model="debt", number=1),
        ),
        experiments=(experiment,) if with_experiment else (),
    )
    return RoutingTable().apply(document, order=(1, 1))


def _version(model: str, number: int, scope: Scope) -> RoutableVersion:
    return RoutableVersion(
        version_id=f"{model}-{number}",
        model=model,
        number=number,
        semver=f"1.{number}.0",
        stage=Stage.PRODUCTION,
        scope=scope,
        industry="debt" if scope is Scope.INDUSTRY else None,
        digest="sha256:" + "0" * 64,
        training_examples=4_000,
        improvement=0.08,
        endpoint=Endpoint(url="http://models.internal/infer", protocol=Protocol.OPEN_INFERENCE_V2),
    )


def _best_of(*works: Callable[[], None]) -> list[float]:
    """The best nanoseconds per call of each, rounds taken in turns so that a slow moment hits all alike."""
    best = [float("inf")] * len(works)
    for _ in range(ROUNDS):
        for index, work in enumerate(works):
            started_at = time.perf_counter_ns()
            for _ in range(CALLS):
                work()
            best[index] = min(best[index], (time.perf_counter_ns() - started_at) / CALLS)
    return best


def _line(claim: str, ours_ns: float, reference_ns: float, *, bound: float | None) -> Line:
    ratio, must, reached = at_least(reference_ns / ours_ns, bound or 0)
    return Line(
        claim=claim,
        ours=f"{ours_ns:,.0f} ns",
        reference=f"GrowthBook {reference_ns:,.0f} ns",
        ratio=ratio,
        must=must if bound else "",
        reached=reached if bound else None,
    )
