"""Where the tests' models answer and their features live: every answer tells what it was made from.

The inference endpoint serves every model and number under the Open Inference Protocol v2. Its answer names the
model and the number that were asked, and repeats `entity_version` from the inputs, which the feature source puts
in: so a stale answer, or one of another version, gives itself away.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

HOST = "127.0.0.1"
ENTITY_VERSION = "entity_version"
ANSWERED_BY = "answered_by"
SCORE = "score"
TOO_SLOW_S = 3.0
INPUTS: tuple[dict[str, str], ...] = (
    {"name": ENTITY_VERSION, "datatype": "INT64"},
    {"name": "amount", "datatype": "FP64"},
)


class ModelServer:
    """The endpoint and the feature source. `dawdle_s` is how long each takes between reading and answering.

    `inferences` counts what was computed, by `model/number`; versions in `failing` answer 500.
    """

    def __init__(self) -> None:
        self.url = ""
        self.dawdle_s = 0.0
        self.inferences: Counter[str] = Counter()
        self.failing: set[str] = set()
        self._changes: Counter[tuple[str, str]] = Counter()

    def endpoint_of(self, model: str, number: int) -> str:
        """Where a version answers predictions."""
        return f"{self.url}/v2/models/{model}/versions/{number}/infer"

    @property
    def features_template(self) -> str:
        """Where an entity's features are read."""
        return f"{self.url}/features/{{tenant}}/{{entity_type}}/{{entity_id}}"

    def version_of(self, entity_id: str, *, tenant: str) -> int:
        """The version of a tenant's entity; they begin at 1."""
        return 1 + self._changes[tenant, entity_id]

    def change(self, entity_id: str, *, tenant: str) -> int:
        """Change an entity; answers its new version."""
        self._changes[tenant, entity_id] += 1
        return self.version_of(entity_id, tenant=tenant)

    def broken_endpoint(self, how: str) -> str:
        """An endpoint that is `failing`, answers `nonsense`, is too `slow`, or is `gone`."""
        return f"{self._somewhere(how)}/broken/{how}"

    def broken_features(self, how: str) -> str:
        """A feature source that is broken in the same ways."""
        return f"{self._somewhere(how)}/broken/{how}/{{entity_id}}"

    def _somewhere(self, how: str) -> str:
        # Nothing ever listens on port 1 of this machine.
        return f"http://{HOST}:1" if how == "gone" else self.url

    async def be_broken(self, request: web.Request) -> web.Response:
        match request.match_info["how"]:
            case "failing":
                return web.json_response({"error": "out of order"}, status=500)
            case "slow":
                await asyncio.sleep(TOO_SLOW_S)
        return web.Response(text="<html>Welcome!</html>", content_type="text/html")

    async def infer(self, request: web.Request) -> web.Response:
        model, number = request.match_info["model"], request.match_info["number"]
        name = f"{model}/{number}"
        inputs = _first_values(await request.json())
        self.inferences[name] += 1
        await asyncio.sleep(self.dawdle_s)
        if name in self.failing:
            return web.json_response({"error": f"{name} is out of order"}, status=500)
        version = int(inputs.get(ENTITY_VERSION, 0))
        outputs = [
            _tensor(SCORE, "FP64", float(number) + float(inputs.get("amount", 0.0)) / 1_000),
            _tensor(ENTITY_VERSION, "INT64", version),
            _tensor(ANSWERED_BY, "BYTES", name),
        ]
        return web.json_response({"model_name": model, "model_version": number, "outputs": outputs})

    async def features(self, request: web.Request) -> web.Response:
        version = self.version_of(request.match_info["entity_id"], tenant=request.match_info["tenant"])
        await asyncio.sleep(self.dawdle_s)
        features = {ENTITY_VERSION: version, "amount": 100.0 * version}
        return web.json_response({"version": version, "features": features})


@asynccontextmanager
async def serve_models() -> AsyncIterator[ModelServer]:
    """A model server on a free port of this machine, until the block ends."""
    server = ModelServer()
    app = web.Application()
    app.router.add_post("/v2/models/{model}/versions/{number}/infer", server.infer)
    app.router.add_get("/features/{tenant}/{entity_type}/{entity_id}", server.features)
    app.router.add_post("/broken/{how}", server.be_broken)
    app.router.add_get("/broken/{how}/{entity_id}", server.be_broken)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, 0)
        await site.start()
        _, port = runner.addresses[0]
        server.url = f"http://{HOST}:{port}"
        yield server
    finally:
        await runner.cleanup()


def _first_values(request: Mapping[str, Any]) -> dict[str, Any]:
    return {tensor["name"]: _first(tensor["data"]) for tensor in request["inputs"]}


def _first(data: Any) -> Any:
    return _first(data[0]) if isinstance(data, list) else data


def _tensor(name: str, datatype: str, value: object) -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": [1, 1], "data": [value]}
