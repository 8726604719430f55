"""From the answer to a promotion until the router serves it, against a bare hop on the same broker."""

import asyncio
import time

import orjson
import uvloop

from benchmarks.http_load import connect, request_bytes
from benchmarks.report import Line, against_hop, progress
from benchmarks.running import MODEL_TYPE, Running, bare_hop, running

PROMOTIONS = 200
SERVED_TIMEOUT_S = 10.0


def measure() -> list[Line]:
    """Milliseconds, promotions and bare hops taken in turns."""
    return uvloop.run(_measure())


async def _measure() -> list[Line]:
    async with running(("registry", "router")) as up, bare_hop(up.stack.addresses.kafka_bootstrap) as hop:
        champion = await up.champion("risk")
        served_ms, hop_ms = [], []
        for count in range(PROMOTIONS):
            if count % 50 == 0:
                progress(f"promotion: {count} of {PROMOTIONS}")
            number = await up.canary("risk")
            hop_ms.append(await hop())
            served_ms.append(await _promote(up, number))
            # So that the routing document stays as small as it is where somebody tidies up.
            await up.registry.transition("risk", champion, to_stage="deprecated", reason="benchmark")
            champion = number
    return against_hop("promotion answered → served by the router", ours_ms=served_ms, hop_ms=hop_ms, p50=4, p99=5)


async def _promote(up: Running, number: int) -> float:
    question = request_bytes(
        "POST",
        f"{up.router_url}/v1/route",
        document={"model_type": MODEL_TYPE},
        headers={"authorization": f"Bearer {up.system.tokens['gateway']}"},
    )
    asking = await connect(up.router_url)
    await up.registry.transition("risk", number, to_stage="production", reason="benchmark")
    answered_at = time.perf_counter()
    async with asyncio.timeout(SERVED_TIMEOUT_S):
        while orjson.loads(await asking.ask(question)).get("number") != number:
            # Asked without a pause: the shortest that event loops know is as long as the hop.
            continue
    served_at = time.perf_counter()
    asking.close()
    return (served_at - answered_at) * 1_000
