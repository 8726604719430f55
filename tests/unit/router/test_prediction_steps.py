"""The steps of a prediction: the order, the fact about each end, and an endpoint that speaks another protocol."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
import pytest
from modelyard_events.event import Event
from modelyard_events.inferences import InferenceCompleted, RequestedOutput
from modelyard_events.routes import FeatureSource, RoutableVersion, RouteChanged
from modelyard_events.topics import Topic
from modelyard_events.values import Feature, Protocol, Tensor
from modelyard_prediction_cache import MemoryPredictionCache
from modelyard_router.adapters.answer_cache import AnswerCache
from modelyard_router.adapters.feature_source import FeatureSources
from modelyard_router.adapters.model_endpoint import PROTOCOLS, ModelEndpoints
from modelyard_router.decider import Decider
from modelyard_router.domain.breaker import Breakers
from modelyard_router.domain.prediction_protocol import InferenceAnswer, PredictionProtocol
from modelyard_router.domain.prediction_request import PredictionRequest, prediction_request_of
from modelyard_router.facts import Facts
from modelyard_router.prediction.predictor import PredictionResult, Predictor
from modelyard_router.problems import FeatureSourceFailureError, InputsMissingError
from modelyard_routing.routing_table import RoutingTable
from modelyard_runtime.access.permissions import Role
from modelyard_runtime.access.principals import Principal
from modelyard_runtime.fetch import Fetched
from modelyard_runtime.problems import InvalidRequestError, ProblemError

from tests.routing_builders import a_champion_of, a_document, a_version, an_endpoint

CALLER = Principal(actor="gateway", roles={"*": frozenset({Role.ADMIN})})
INPUTS = (Feature(name="income", datatype="FP32"), Feature(name="age", datatype="FP32"))
SOURCE = FeatureSource(url_template="http://features/{tenant}/{entity_type}/{entity_id}", timeout_s=1.0, revision=1)
ENTITY = {"tenant": "acme", "entity_type": "loan", "entity_id": "7"}
RATE: dict[str, Any] = {"name": "rate", "datatype": "FP32", "shape": [1, 1], "data": [1.5]}


def a_served_version(model: str, number: int = 1) -> RoutableVersion:
    return a_version(model, number, endpoint=an_endpoint(url=f"http://models/{model}", inputs=INPUTS))


def a_request(*names: str, **parameters: str) -> PredictionRequest:
    inputs = [{**RATE, "name": name, "data": [1.0]} for name in names]
    attributes: dict[str, object] = {"model_type": "risk-scoring", **parameters}
    return prediction_request_of({"inputs": inputs, "parameters": attributes})


class PlainJson:
    """A protocol of one number in and one out."""

    title = "plain JSON"

    def request_body(
        self, tensors: Sequence[Tensor], *, outputs: Sequence[RequestedOutput] = (), inference_id: str
    ) -> bytes:
        return orjson.dumps({tensor.name: tensor.data[0] for tensor in tensors})

    def answer_of(self, body: bytes) -> InferenceAnswer:
        rate = Tensor(name="rate", datatype="FP32", shape=(1, 1), data=[orjson.loads(body)])
        return InferenceAnswer(model_name=None, model_version=None, digest=None, outputs=(rate,))


@dataclass
class World:
    """A predictor with everything around it in memory. `answers` are by the last part of the address."""

    document: RouteChanged
    protocols: dict[Protocol, PredictionProtocol] = field(default_factory=lambda: dict(PROTOCOLS))
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    sent: list[bytes | None] = field(default_factory=list)
    facts: list[InferenceCompleted] = field(default_factory=list)
    has_caught_up: bool = True

    def __post_init__(self) -> None:
        self.table = RoutingTable().apply(self.document, order=(1, 1))
        breakers = Breakers(failures_max=100, pause_s=1.0)
        cache = MemoryPredictionCache(new_nonce=lambda: "nonce", clock_s=time.monotonic)
        around = cast(Any, self)
        facts = Facts(around, new_id=lambda: "exposure")
        self.predictor = Predictor(
            decider=Decider(state=around, secret=b""),
            cache=AnswerCache(cache, breakers=breakers, seconds=time.monotonic),
            features=FeatureSources(around, breakers=breakers, seconds=time.monotonic),
            endpoints=ModelEndpoints(around, breakers=breakers, seconds=time.monotonic, protocols=self.protocols),
            facts=facts,
            new_id=lambda: "inference",
            seconds=time.monotonic,
        )

    async def fetch(self, method: str, url: str, *, body: bytes | None = None, **_: Any) -> Fetched:
        place = url.rsplit("/", 1)[-1]
        self.asked.append(place)
        self.sent.append(body)
        status, document = self.answers.get(place, (200, {"outputs": [RATE]}))
        return Fetched(status=status, headers={}, body=orjson.dumps(document))

    def offer(self, topic: Topic, fact: Event, *, key: str) -> None:
        if isinstance(fact, InferenceCompleted):
            self.facts.append(fact)

    async def predict(self, request: PredictionRequest) -> PredictionResult:
        return await self.predictor.predict(request, caller=CALLER)

    async def fail(self, request: PredictionRequest) -> ProblemError:
        with pytest.raises(ProblemError) as failed:
            await self.predict(request)
        return failed.value


def a_world(*, with_source: bool = True, **more: Any) -> World:
    """One champion with a former one to fall back to."""
    champion, former = a_served_version("champion"), a_served_version("former")
    return World(
        a_document(
            champion,
            former,
            champions=(a_champion_of(champion, former=former),),
            feature_source=SOURCE if with_source else None,
        ),
        **more,
    )


async def test_a_second_request_about_an_entity_is_answered_from_the_cache_alone() -> None:
    world = a_world()
    world.answers["7"] = (200, {"version": 3, "features": {"income": 1, "age": 2}})

    first = await world.predict(a_request(**ENTITY))
    second = await world.predict(a_request(**ENTITY))

    assert world.asked == ["7", "champion"]
    assert (first.outcome.cache, second.outcome.cache) == ("miss", "hit")
    assert (second.outcome.entity_version, second.outcome.inputs) == (3, first.outcome.inputs)


async def test_cached_features_are_not_fetched_again_for_another_question() -> None:
    world = a_world()
    world.answers["7"] = (200, {"version": 3, "features": {"income": 1, "age": 2}})

    await world.predict(a_request(**ENTITY))
    other = await world.predict(a_request("income", **ENTITY))

    assert world.asked == ["7", "champion", "champion"]
    assert [tensor.name for tensor in other.outcome.inputs] == ["income", "age"]


@pytest.mark.parametrize(
    ("parameters", "reason"), [({}, "no_entity"), ({"entity_type": "loan", "entity_id": "7"}, "no_tenant")]
)
async def test_a_bypass_of_the_cache_says_why(parameters: dict[str, str], reason: str) -> None:
    prediction = await a_world().predict(a_request("income", "age", **parameters))

    assert (prediction.outcome.cache, prediction.outcome.cache_reason) == ("bypass", reason)


async def test_the_fallback_answers_when_the_decided_version_fails() -> None:
    world = a_world(with_source=False)
    world.answers["champion"] = (503, {})

    prediction = await world.predict(a_request("income", "age"))

    assert prediction.outcome.served.version.model == "former"
    assert (prediction.outcome.outcome, prediction.outcome.cache_reason) == ("fell_back", "fell_back")
    assert [(fact.outcome, fact.error) for fact in world.facts] == [("fell_back", "endpoint-failure")]


async def test_the_failure_of_the_decided_version_is_told_with_that_of_its_fallback() -> None:
    world = a_world(with_source=False)
    world.answers = {"champion": (503, {}), "former": (500, {})}

    problem = await world.fail(a_request("income", "age"))

    assert "champion/1" in problem.detail
    assert "former/1" in str(problem.extra["fallback"])
    assert [tensor.name for tensor in world.facts[0].inputs] == ["income", "age"]


async def test_the_fact_about_a_failure_has_the_inputs_that_were_in_hand() -> None:
    undeclared, unreachable, missing = a_world(), a_world(), a_world()
    unreachable.answers["7"] = (500, {})
    missing.answers["7"] = (200, {"version": 3, "features": {"colour": 1}})

    problems = [
        await undeclared.fail(a_request("colour", **ENTITY)),
        await unreachable.fail(a_request("income", **ENTITY)),
        await missing.fail(a_request("income", **ENTITY)),
    ]

    facts = [world.facts[0] for world in (undeclared, unreachable, missing)]
    assert [type(each) for each in problems] == [InvalidRequestError, FeatureSourceFailureError, InputsMissingError]
    assert [[tensor.name for tensor in fact.inputs] for fact in facts] == [[], ["income"], ["income", "colour"]]
    assert [fact.cache for fact in facts] == ["bypass", "miss", "miss"]


async def test_an_endpoint_is_asked_in_its_own_protocol() -> None:
    world = a_world(with_source=False, protocols={Protocol.OPEN_INFERENCE_V2: PlainJson()})
    world.answers["champion"] = (200, 2.5)

    prediction = await world.predict(a_request("income", "age"))

    assert world.sent == [b'{"income":1.0,"age":1.0}']
    assert prediction.outcome.outputs[0].data == [2.5]
