"""Predictions through the router against asking the endpoint itself; and what shadowing adds for the caller."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, cycle

import orjson
import uvloop

from benchmarks.http_load import connect, request_bytes
from benchmarks.report import Line, progress, quantile
from benchmarks.running import MODEL_TYPE, Running, running, wait_until

ROUNDS = 4
REQUESTS = 250
HOT_ENTITIES = 100
FEATURES = [f"feature_{number}" for number in range(12)]
INPUTS = [{"name": name, "datatype": "FP64", "shape": [1], "data": [0.25]} for name in FEATURES]
ANSWER = {"outputs": [{"name": "rate", "datatype": "FP64", "shape": [1], "data": [0.11]}]}
SCHEMA = [{"name": name, "datatype": "FP64"} for name in FEATURES]
APPLIED_TIMEOUT_S = 30.0


def measure() -> list[Line]:
    """Milliseconds, one request at a time, rounds taken in turns."""
    return uvloop.run(_measure())


async def _measure() -> list[Line]:
    async with running(("registry", "router", "shadow_worker")) as up:
        endpoint = await up.run_beside("bare_app", "--answer", orjson.dumps(ANSWER).decode())
        await _publish(up, url=f"{endpoint}/infer")
        entities = count()
        taken = Taken(hit=[], direct=[], shadowed=[], unshadowed=[])
        hot = cycle([_prediction(up, next(entities)) for _ in range(HOT_ENTITIES)])
        fresh = (_prediction(up, entity) for entity in entities)
        asked = cycle([request_bytes("POST", f"{endpoint}/infer", document={"inputs": INPUTS})])
        await _ask(up.router_url, hot, requests=HOT_ENTITIES)
        for number in range(ROUNDS):
            progress(f"predict: round {number + 1} of {ROUNDS}")
            taken.direct.extend(await _ask(endpoint, asked, requests=REQUESTS))
            taken.hit.extend(await _ask(up.router_url, hot, requests=REQUESTS))
            for sample_bp, latencies in ((0, taken.unshadowed), (10_000, taken.shadowed)):
                await _sample_shadows(up, sample_bp)
                latencies.extend(await _ask(up.router_url, fresh, requests=REQUESTS))
    return list(_lines(taken))


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Milliseconds: cached, straight from the endpoint, and computed with and without shadowing."""

    hit: list[float]
    direct: list[float]
    shadowed: list[float]
    unshadowed: list[float]


async def _publish(up: Running, *, url: str) -> None:
    """A global champion, and an industry champion that is enough better to serve; the global one is its shadow."""
    evidence = {
        "metrics": {"rmse": 5.0},
        "validation_data_version": "loans-1",
        "training_examples": 10_000,
        "feature_schema": SCHEMA,
    }
    number = await up.champion("global", url=url, evidence=evidence)
    better = {**evidence, "metrics": {"rmse": 4.0}, "parent": {"model": "global", "number": number}}
    await up.champion("debt", scope={"scope": "industry", "industry": "debt"}, url=url, evidence=better)

    async def serves() -> bool:
        routes = await up.router.routes()
        return bool(routes) and len(routes[0]["document"]["champions"]) == 2

    await wait_until(serves, within_s=APPLIED_TIMEOUT_S)
    answer = await up.router.predict({"model_type": MODEL_TYPE, "industry": "debt"}, inputs=INPUTS)
    assert answer.model == "debt", "the industry champion was to serve"


async def _sample_shadows(up: Running, sample_bp: int) -> None:
    await up.registry.call("PUT", f"/routes/{MODEL_TYPE}/shadow-sample", {"sample_bp": sample_bp})

    async def is_applied() -> bool:
        return bool((await up.router.routes())[0]["document"]["shadow_sample_bp"] == sample_bp)

    await wait_until(is_applied, within_s=APPLIED_TIMEOUT_S)


def _prediction(up: Running, entity: int) -> bytes:
    return request_bytes(
        "POST",
        f"{up.router_url}/v1/predict",
        document={
            "inputs": INPUTS,
            "parameters": {
                "model_type": MODEL_TYPE,
                "industry": "debt",
                "tenant": "CA",
                "entity_type": "loan",
                "entity_id": str(entity),
            },
        },
        headers={"authorization": f"Bearer {up.system.tokens['gateway']}"},
    )


async def _ask(url: str, sending: Iterator[bytes], *, requests: int) -> list[float]:
    """The milliseconds of so many requests, one after the other on one connection."""
    latencies = []
    connection = await connect(url)
    for _ in range(requests):
        request = next(sending)
        started_at = time.perf_counter()
        await connection.ask(request)
        latencies.append((time.perf_counter() - started_at) * 1_000)
    connection.close()
    return latencies


def _lines(taken: Taken) -> Iterator[Line]:
    for claim, ours, name, reference in (
        ("/v1/predict, cached", taken.hit, "endpoint asked directly", taken.direct),
        ("/v1/predict, not cached", taken.unshadowed, "endpoint asked directly", taken.direct),
        ("/v1/predict, not cached, every request shadowed", taken.shadowed, "not shadowed", taken.unshadowed),
    ):
        for quantile_name, share in (("p50", 0.5), ("p99", 0.99)):
            mine, other = quantile(ours, share), quantile(reference, share)
            yield Line(
                claim=f"{claim}, {quantile_name}",
                ours=f"{mine:.2f} ms",
                reference=f"{name} {other:.2f} ms",
                ratio=f"{mine / other:.2f}×",
                must="",
                reached=None,
            )
