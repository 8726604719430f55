"""Registering versions, audit and outbox in the same commit, against MLflow's server on the same PostgreSQL."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat

import uvloop

from benchmarks.http_load import Load, connect, joined, put_load, request_bytes
from benchmarks.mlflow_server import NoMlflowError, ensure_mlflow, mlflow_server
from benchmarks.report import Line, at_least, at_most, progress
from benchmarks.running import ARTIFACT, DIGEST, MODEL_TYPE, Running, running

CLIENTS = 32
ROUNDS = 2
ROUND_S = 3.0
WARM_UP_S = 1.0
# What a training job says about a version of moderate size.
EVIDENCE = {
    "algorithm": "gradient boosting",
    "framework": "scikit-learn",
    "metrics": {"rmse": 4.21, "mae": 3.02, "r2": 0.41},
    "training_examples": 5_144,
    "feature_schema": [{"name": f"feature_{number}", "datatype": "FP64"} for number in range(12)],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One of the two servers, with what is sent to it: each client registers versions of a model of its own."""

    name: str
    url: str
    requests: Sequence[bytes]
    shared: bytes
    """Registers a version of the model that all clients share."""
    loads: dict[int, list[Load]] = field(default_factory=dict)

    async def put_load(self, clients: int, *, duration_s: float = ROUND_S) -> None:
        """Load it for one round and remember what it did."""
        sending: list[Iterator[bytes]] = [repeat(request) for request in self.requests[:clients]]
        self.loads.setdefault(clients, []).append(await put_load(self.url, sending, duration_s=duration_s))

    def load(self, clients: int) -> Load:
        """All rounds with so many clients."""
        return joined(self.loads[clients])


def measure() -> list[Line]:
    """Versions per second and milliseconds, at one client and at 32, rounds taken in turns."""
    return uvloop.run(_measure())


def measure_alone() -> list[Line]:
    """The same without the reference: figures, and no ratio to judge them by."""
    return uvloop.run(_measure_alone())


async def _measure() -> list[Line]:
    try:
        python = await ensure_mlflow()
    except NoMlflowError as error:
        progress(f"register: without a reference, for {error}")
        return await _measure_alone()
    async with running(("registry",)) as up:
        ours = await _registry(up)
        mlflow = mlflow_server(
            python,
            keeper=up.system.keeper,
            postgres_dsn=up.stack.addresses.postgres_dsn,
            directory=up.system.directory,
        )
        progress("register: MLflow's server starts")
        async with mlflow as url:
            reference = await _mlflow(url)
            await _take_turns([ours, reference])
        one_model = await _all_on_one_model(ours)
    return [*_judged(ours, reference), _shared_line(one_model)]


async def _measure_alone() -> list[Line]:
    async with running(("registry",)) as up:
        ours = await _registry(up)
        await _take_turns([ours])
        one_model = await _all_on_one_model(ours)
    return [*_alone(ours), _shared_line(one_model)]


async def _take_turns(doors: Sequence[Door]) -> None:
    for door in doors:
        await door.put_load(CLIENTS, duration_s=WARM_UP_S)
        door.loads.clear()
    for clients in (1, CLIENTS):
        for number in range(ROUNDS):
            progress(f"register: {clients} client{'s' if clients > 1 else ''}, round {number + 1} of {ROUNDS}")
            for door in doors:
                await door.put_load(clients)


async def _all_on_one_model(ours: Door) -> Load:
    progress(f"register: {CLIENTS} clients on one registered model")
    return await put_load(ours.url, [repeat(ours.shared) for _ in range(CLIENTS)], duration_s=ROUND_S)


async def _registry(up: Running) -> Door:
    await up.registry.upload_artifact(DIGEST, ARTIFACT)
    url = up.system.service("registry").url
    headers = {"authorization": f"Bearer {up.system.tokens['ada']}"}
    names = [f"model-{number}" for number in range(CLIENTS)] + ["shared"]
    for name in names:
        await up.registry.create_registered_model({"name": name, "model_type": MODEL_TYPE, "scope": "global"})
    *requests, shared = (
        request_bytes(
            "POST",
            f"{url}/api/v1/projects/default/registered-models/{name}/versions",
            document={"digest": DIGEST, "evidence": EVIDENCE},
            headers=headers,
        )
        for name in names
    )
    return Door(name="registry", url=url, requests=requests, shared=shared)


async def _mlflow(url: str) -> Door:
    """MLflow is sent as little as it takes: the name, and where the artifact is."""
    base = f"{url}/api/2.0/mlflow"
    names = [f"model-{number}" for number in range(CLIENTS)]
    connection = await connect(url)
    try:
        for name in names:
            document: dict[str, object] = {"name": name}
            await connection.ask(request_bytes("POST", f"{base}/registered-models/create", document=document))
    finally:
        connection.close()
    requests = [
        request_bytes(
            "POST", f"{base}/model-versions/create", document={"name": name, "source": "s3://models/artifact.onnx"}
        )
        for name in names
    ]
    return Door(name="MLflow", url=url, requests=requests, shared=requests[0])


def _judged(ours: Door, reference: Door) -> Iterator[Line]:
    for clients, bound in ((1, 8), (CLIENTS, 20)):
        mine, other = ours.load(clients), reference.load(clients)
        ratio, must, reached = at_least(mine.per_second / other.per_second, bound)
        yield Line(
            claim=f"versions per second, {_of(clients)}",
            ours=f"{mine.per_second:,.0f}/s",
            reference=f"MLflow {other.per_second:,.1f}/s",
            ratio=ratio,
            must=must,
            reached=reached,
        )
        for share, name in ((0.5, "p50"), (0.99, "p99")):
            milliseconds, others = mine.quantile_ms(share), other.quantile_ms(share)
            is_judged = clients == CLIENTS and name == "p99"
            ratio, must, reached = at_most(milliseconds / others, 1 / 20)
            yield Line(
                claim=f"milliseconds per version, {_of(clients)}, {name}",
                ours=f"{milliseconds:.1f} ms",
                reference=f"MLflow {others:.1f} ms",
                ratio=ratio,
                must=must if is_judged else "",
                reached=reached if is_judged else None,
            )


def _alone(ours: Door) -> Iterator[Line]:
    for clients in (1, CLIENTS):
        load = ours.load(clients)
        yield _plain(f"versions per second, {_of(clients)}", load)


def _shared_line(load: Load) -> Line:
    return _plain(f"versions per second, {CLIENTS} clients on one registered model (gapless numbers)", load)


def _plain(claim: str, load: Load) -> Line:
    return Line(
        claim=claim,
        ours=f"{load.per_second:,.0f}/s, p50 {load.quantile_ms(0.5):.1f}, p99 {load.quantile_ms(0.99):.1f} ms",
        reference="",
        ratio="",
        must="",
        reached=None,
    )


def _of(clients: int) -> str:
    return "1 client" if clients == 1 else f"{clients} clients"
