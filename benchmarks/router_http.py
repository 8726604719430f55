"""The router's decision over HTTP, its exposure fact queued, against the barest ASGI app on the same server."""

import re
from collections.abc import Iterator
from itertools import cycle, islice

import uvloop

from benchmarks.http_load import Load, connect, joined, put_load, request_bytes
from benchmarks.report import Line, at_least, progress
from benchmarks.running import MODEL_TYPE, Running, cpu_seconds, running, wait_until

CONNECTIONS = 16
ROUNDS = 4
ROUND_S = 1.5
UNITS = 1_000
BOUND = 0.70
WAITING = re.compile(r"^runtime_facts_waiting\{.*\} (\S+)$", re.MULTILINE)
DROPPED = re.compile(r"^runtime_facts_dropped_total\{.*\} (\S+)$", re.MULTILINE)


def measure() -> list[Line]:
    """Answers per second, rounds taken in turns."""
    return uvloop.run(_measure())


async def _measure() -> list[Line]:
    async with running(("registry", "router")) as up:
        bare = await up.run_beside("bare_app")
        await _start_experiment(up)
        # The router decides without the registry, which would only count exposures on our two cores.
        await up.system.service("registry").server.stop()
        ours: list[Load] = []
        reference: list[Load] = []
        cpu_s = {bare: 0.0, up.router_url: 0.0}
        for number in range(ROUNDS):
            progress(f"router over HTTP: round {number + 1} of {ROUNDS}")
            for url, loads in ((bare, reference), (up.router_url, ours)):
                before_s = cpu_seconds(url)
                loads.append(await put_load(url, _requests(up, url), duration_s=ROUND_S))
                await wait_until(lambda: _facts_have_left(up), within_s=30)
                cpu_s[url] += cpu_seconds(url) - before_s
        dropped = _sum(DROPPED, await _metrics(up))
    lines = _lines(joined(ours), joined(reference), dropped=dropped)
    return [*lines, _cpu_line(joined(ours), joined(reference), ours_s=cpu_s[up.router_url], reference_s=cpu_s[bare])]


async def _start_experiment(up: Running) -> None:
    control = await up.champion("risk")
    treatment = await up.canary("risk")
    assert control != treatment
    await up.registry.call(
        "POST",
        "/experiments",
        {
            "key": "bench",
            "model_type": MODEL_TYPE,
            "treatment": {"model": "risk", "number": treatment, "share_bp": 5_000},
        },
    )

    async def is_running() -> bool:
        receipt = (await up.router.route(model_type=MODEL_TYPE, unit_id="u"))["receipt"]
        return receipt["variant"] is not None

    await wait_until(is_running, within_s=30)


def _requests(up: Running, url: str) -> list[Iterator[bytes]]:
    """The same requests for both servers: what a gateway sends, for many units."""
    made = [
        request_bytes(
            "POST",
            f"{url}/v1/route",
            document={"model_type": MODEL_TYPE, "tenant": "CA", "unit_id": f"user-{number}"},
            headers={"authorization": f"Bearer {up.system.tokens['gateway']}"},
        )
        for number in range(UNITS)
    ]
    starts = [number * UNITS // CONNECTIONS for number in range(CONNECTIONS)]
    return [islice(cycle(made), start, None) for start in starts]


async def _metrics(up: Running) -> str:
    connection = await connect(up.router_url)
    try:
        return (await connection.ask(request_bytes("GET", f"{up.router_url}/metrics"))).decode()
    finally:
        connection.close()


async def _facts_have_left(up: Running) -> bool:
    return _sum(WAITING, await _metrics(up)) == 0


def _sum(pattern: re.Pattern[str], metrics: str) -> float:
    return sum(float(value) for value in pattern.findall(metrics))


def _lines(ours: Load, reference: Load, *, dropped: float) -> list[Line]:
    ratio, must, reached = at_least(ours.per_second / reference.per_second, BOUND)
    exposures = len(ours.latencies_ms)
    return [
        Line(
            claim=f"/v1/route in an experiment, {CONNECTIONS} connections",
            ours=f"{ours.per_second:,.0f}/s",
            reference=f"bare ASGI {reference.per_second:,.0f}/s",
            ratio=ratio,
            must=must,
            reached=reached,
        ),
        Line(
            claim="its latency under that load, p50 · p99",
            ours=f"{ours.quantile_ms(0.5):.2f} · {ours.quantile_ms(0.99):.2f} ms",
            reference=f"bare ASGI {reference.quantile_ms(0.5):.2f} · {reference.quantile_ms(0.99):.2f} ms",
            ratio=f"{ours.quantile_ms(0.99) / reference.quantile_ms(0.99):.2f}×",
            must="",
            reached=None,
        ),
        Line(
            claim="exposure facts dropped by the bounded queue",
            ours=f"{dropped / exposures:.1%}",
            reference=f"of {exposures:,}",
            ratio="",
            must="",
            reached=None,
        ),
    ]


def _cpu_line(ours: Load, reference: Load, *, ours_s: float, reference_s: float) -> Line:
    """What the load generator and the broker take of the cores is not in these."""
    ours_us = ours_s / len(ours.latencies_ms) * 1e6
    reference_us = reference_s / len(reference.latencies_ms) * 1e6
    return Line(
        claim="processor time of the server per request, facts published",
        ours=f"{ours_us:.0f} µs",
        reference=f"bare ASGI {reference_us:.0f} µs",
        ratio=f"{reference_us / ours_us:.2f}×",
        must="",
        reached=None,
    )
