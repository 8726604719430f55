"""The daily operations on models with 10 to a million versions, beside MLflow at two of the sizes."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from urllib.parse import quote

import uvloop

from benchmarks.http_load import Load, connect, joined, put_load, request_bytes
from benchmarks.mlflow_server import NoMlflowError, ensure_mlflow, mlflow_server
from benchmarks.register import EVIDENCE
from benchmarks.report import Line, at_least, at_most, progress
from benchmarks.running import ARTIFACT, DIGEST, MODEL_TYPE, Running, running
from benchmarks.sized_models import SizedModel, fill_mlflow, fill_registry

SIZES = (10, 1_000, 10_000, 1_000_000)
# MLflow reads all versions of a model for most of these: a million would take minutes for an answer.
MLFLOW_SIZES = (10, 10_000)
ROUNDS = 2
ROUND_S = 2.0
CLIENTS = 32
ALIAS = "stable"

REGISTER = "register a version"
REGISTER_TOGETHER = f"register a version, {CLIENTS} clients"
GET_BY_ALIAS = "get by alias"
SET_ALIAS = "set alias"
GET_MODEL = "get model"
TRANSITION = "transition"
PAGE = "a page of 100"
OPERATIONS = (GET_BY_ALIAS, SET_ALIAS, GET_MODEL, TRANSITION, PAGE, REGISTER, REGISTER_TOGETHER)

# How many times the throughput of MLflow's server at ten thousand versions; the others are printed for what they are.
TIMES_MLFLOW = {GET_BY_ALIAS: 100, SET_ALIAS: 100, GET_MODEL: 100, PAGE: 15}
# How much the median may grow: from how many versions to how many, and to how many times.
GROWTH = {
    GET_BY_ALIAS: (10, 10_000, 1.2),
    SET_ALIAS: (10, 10_000, 1.2),
    GET_MODEL: (10, 10_000, 1.2),
    PAGE: (1_000, 1_000_000, 1.5),
}

Requests = dict[str, Sequence[bytes]]
"""By operation, what each client sends over and over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One of the two servers, with what is sent to it about a model of each size."""

    url: str
    sending: dict[tuple[str, int], Iterator[bytes]]
    loads: dict[tuple[str, int], list[Load]] = field(default_factory=dict)

    async def put_load(self, operation: str, versions: int) -> None:
        """Load it for one round and remember what it did."""
        # One iterator for all clients and rounds: a move there is followed by the move back, whoever sends it.
        requests = self.sending[operation, versions]
        clients = CLIENTS if operation == REGISTER_TOGETHER else 1
        load = await put_load(self.url, [requests] * clients, duration_s=ROUND_S)
        self.loads.setdefault((operation, versions), []).append(load)

    def load(self, operation: str, versions: int) -> Load:
        """All rounds of an operation."""
        return joined(self.loads[operation, versions])


def measure() -> list[Line]:
    """Throughput and milliseconds of each operation at each size, how they grow, and MLflow's beside them."""
    return uvloop.run(_measure(with_mlflow=True))


def measure_alone() -> list[Line]:
    """The same without the reference: only growth is judged."""
    return uvloop.run(_measure(with_mlflow=False))


async def _measure(*, with_mlflow: bool) -> list[Line]:
    async with running(("registry",)) as up:
        ours = await _registry(up)
        if not with_mlflow:
            await _take_turns({"registry": ours})
            return [*_figures(ours, None), *_growth(ours)]
        async with _mlflow(up) as reference:
            await _take_turns({"registry": ours} | ({"MLflow": reference} if reference else {}))
    return [*_figures(ours, reference), *_growth(ours)]


async def _take_turns(doors: dict[str, Door]) -> None:
    for door in doors.values():
        for operation, versions in door.sending:
            await door.put_load(operation, versions)
        door.loads.clear()
    for operation in OPERATIONS:
        progress(f"sizes: {operation}")
        for _ in range(ROUNDS):
            for versions in SIZES:
                for door in doors.values():
                    if (operation, versions) in door.sending:
                        await door.put_load(operation, versions)


async def _registry(up: Running) -> Door:
    models = [SizedModel.of(versions) for versions in SIZES]
    await up.registry.upload_artifact(DIGEST, ARTIFACT)
    for model in models:
        document = {"name": model.name, "model_type": MODEL_TYPE, "scope": "global"}
        await up.registry.create_registered_model(document)
        await up.registry.register_version(model.name, {"digest": DIGEST, "evidence": EVIDENCE})
    await fill_registry(up.stack.addresses.postgres_dsn, models)
    url = up.system.service("registry").url
    token = up.system.tokens["ada"]
    return Door(
        url=url,
        sending={
            (operation, model.versions): cycle(requests)
            for model in models
            for operation, requests in _our_requests(url, token, model).items()
        },
    )


def _our_requests(url: str, token: str, model: SizedModel) -> Requests:
    base = f"{url}/api/v1/projects/default/registered-models/{model.name}"
    headers = {"authorization": f"Bearer {token}"}

    def ask(method: str, path: str, document: object | None = None) -> bytes:
        return request_bytes(method, f"{base}{path}", document=document, headers=headers)

    moves = f"/versions/{model.versions - 1}/transitions"
    register = (ask("POST", "/versions", {"digest": DIGEST, "evidence": EVIDENCE}),)
    return {
        # First, for it makes the alias that is asked for.
        SET_ALIAS: tuple(ask("PUT", f"/aliases/{ALIAS}", {"number": number}) for number in _two_of(model)),
        GET_BY_ALIAS: (ask("GET", f"/versions/@{ALIAS}"),),
        GET_MODEL: (ask("GET", ""),),
        TRANSITION: tuple(
            ask("POST", moves, {"to_stage": stage, "reason": "measured"}) for stage in ("staging", "development")
        ),
        PAGE: (ask("GET", "/versions?page_size=100"),),
        REGISTER: register,
        REGISTER_TOGETHER: register,
    }


@asynccontextmanager
async def _mlflow(up: Running) -> AsyncIterator[Door | None]:
    """MLflow's server with models of the sizes that it can be asked about; None where it cannot be had."""
    try:
        python = await ensure_mlflow()
    except NoMlflowError as error:
        progress(f"sizes: without a reference, for {error}")
        yield None
        return
    progress("sizes: MLflow's server starts")
    dsn = up.stack.addresses.postgres_dsn
    async with mlflow_server(python, keeper=up.system.keeper, postgres_dsn=dsn, directory=up.system.directory) as url:
        models = [SizedModel.of(versions) for versions in MLFLOW_SIZES]
        connection = await connect(url)
        try:
            for model in models:
                create = request_bytes(
                    "POST", f"{url}/api/2.0/mlflow/registered-models/create", document={"name": model.name}
                )
                await connection.ask(create)
                await connection.ask(_mlflow_requests(url, model)[REGISTER][0])
        finally:
            connection.close()
        await fill_mlflow(dsn, models)
        yield Door(
            url=url,
            sending={
                (operation, model.versions): cycle(requests)
                for model in models
                for operation, requests in _mlflow_requests(url, model).items()
            },
        )


def _mlflow_requests(url: str, model: SizedModel) -> Requests:
    base = f"{url}/api/2.0/mlflow"

    def get(path: str) -> bytes:
        return request_bytes("GET", f"{base}{path}")

    def post(path: str, **document: object) -> bytes:
        return request_bytes("POST", f"{base}{path}", document={"name": model.name, **document})

    wanted = quote(f"name='{model.name}'")
    register = (post("/model-versions/create", source="s3://models/artifact.onnx"),)
    return {
        SET_ALIAS: tuple(
            post("/registered-models/alias", alias=ALIAS, version=str(number)) for number in _two_of(model)
        ),
        GET_BY_ALIAS: (get(f"/registered-models/alias?name={model.name}&alias={ALIAS}"),),
        GET_MODEL: (get(f"/registered-models/get?name={model.name}"),),
        TRANSITION: tuple(
            post("/model-versions/transition-stage", version=str(model.versions - 1), stage=stage)
            for stage in ("Staging", "None")
        ),
        PAGE: (get(f"/model-versions/search?filter={wanted}&max_results=100"),),
        REGISTER: register,
        REGISTER_TOGETHER: register,
    }


def _two_of(model: SizedModel) -> tuple[int, int]:
    return model.versions - 1, model.versions - 2


def _figures(ours: Door, reference: Door | None) -> Iterator[Line]:
    for operation in OPERATIONS:
        for versions in SIZES:
            load = ours.load(operation, versions)
            claim = f"{operation}, {versions:,} versions"
            if reference is None or (operation, versions) not in reference.loads:
                yield Line(claim=claim, ours=_said(load), reference="", ratio="", must="", reached=None)
                continue
            other = reference.load(operation, versions)
            ratio, must, reached = at_least(load.per_second / other.per_second, TIMES_MLFLOW.get(operation, 0))
            is_judged = operation in TIMES_MLFLOW and versions == MLFLOW_SIZES[-1]
            yield Line(
                claim=claim,
                ours=_said(load),
                reference=f"MLflow {_said(other)}",
                ratio=ratio,
                must=must if is_judged else "",
                reached=reached if is_judged else None,
            )


def _growth(ours: Door) -> Iterator[Line]:
    for operation in OPERATIONS:
        small, large, bound = GROWTH.get(operation, (10, 10_000, 0.0))
        before, after = (ours.load(operation, versions).quantile_ms(0.5) for versions in (small, large))
        ratio, must, reached = at_most(after / before, bound)
        yield Line(
            claim=f"{operation}, p50 with {large:,} versions against {small:,}",
            ours=f"{after:.2f} ms",
            reference=f"{before:.2f} ms",
            ratio=ratio,
            must=must if operation in GROWTH else "",
            reached=reached if operation in GROWTH else None,
        )


def _said(load: Load) -> str:
    return f"{load.per_second:,.1f}/s, p50 {load.quantile_ms(0.5):.2f}, p99 {load.quantile_ms(0.99):.2f} ms"
