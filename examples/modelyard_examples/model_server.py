"""A model server: it fetches the versions that may serve, proves each by its digest and answers predictions.

    python -m modelyard_examples.model_server --registry http://127.0.0.1:8080 --token … --port 9000

It speaks the Open Inference Protocol v2. A version answers at `/v2/models/{name}/versions/{number}/infer`; its answer
says which version made it and from which bytes, so that the router can tell a wrong one.
"""

import argparse
import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.metadata import version

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from modelyard_examples.loaded_model import LoadedModel
from modelyard_examples.model_follower import ModelFollower
from modelyard_examples.open_inference import BadRequestError, answer_of, parse_request
from modelyard_examples.registry_client import RegistryClient

REQUEST_BYTES_MAX = 16 * 1024 * 1024
REQUESTS_AT_ONCE_MAX = 1_000
DRAIN_TIMEOUT_S = 10
REGISTRY_TIMEOUT_S = 30.0


def build_app(
    follower: ModelFollower,
    *,
    threads: int = 2,
    latency_s: float = 0.0,
    request_bytes_max: int = REQUEST_BYTES_MAX,
) -> FastAPI:
    """The server's HTTP API over the follower's models. The caller runs the follower.

    `latency_s` delays every prediction: a slow server, for those who test what happens then.
    """
    app = FastAPI(title="Modelyard example model server", docs_url=None, redoc_url=None, openapi_url=None)
    pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="inference")
    api = InferenceApi(follower, pool=pool, latency_s=latency_s, request_bytes_max=request_bytes_max)
    app.add_api_route("/v2", api.server_metadata)
    app.add_api_route("/v2/health/live", api.live)
    app.add_api_route("/v2/health/ready", api.ready)
    path = "/v2/models/{name}/versions/{number}"
    app.add_api_route(path, api.model_metadata)
    app.add_api_route(f"{path}/ready", api.model_ready)
    app.add_api_route(f"{path}/infer", api.infer, methods=["POST"])
    app.add_exception_handler(BadRequestError, _refuse_bad_request)
    app.add_exception_handler(RequestValidationError, _refuse_bad_path)
    app.add_exception_handler(StarletteHTTPException, _refuse)
    return app


class InferenceApi:
    """The operations of the protocol, over the models that are loaded at the moment of each request."""

    def __init__(
        self,
        follower: ModelFollower,
        *,
        pool: ThreadPoolExecutor,
        latency_s: float,
        request_bytes_max: int,
    ) -> None:
        self._follower = follower
        self._pool = pool
        self._latency_s = latency_s
        self._request_bytes_max = request_bytes_max

    async def server_metadata(self) -> dict[str, object]:
        """Who this is."""
        return {"name": "modelyard-example-model-server", "version": version("modelyard-examples")}

    async def live(self) -> dict[str, bool]:
        """The process answers."""
        return {"live": True}

    async def ready(self) -> JSONResponse:
        """Every version that the registry may send traffic to was fetched, or refused, at least once."""
        is_ready = self._follower.has_followed
        return JSONResponse({"ready": is_ready}, status_code=200 if is_ready else 503)

    async def model_metadata(self, name: str, number: int) -> dict[str, object]:
        """What a version wants, what it answers, and from which bytes."""
        model = self._loaded(name, number)
        return {
            "name": name,
            "versions": [str(other) for other_name, other in sorted(self._follower.models) if other_name == name],
            "platform": "onnxruntime_onnx",
            "inputs": [tensor.metadata() for tensor in model.inputs],
            "outputs": [tensor.metadata() for tensor in model.outputs],
            "parameters": {"digest": model.digest},
        }

    async def model_ready(self, name: str, number: int) -> dict[str, object]:
        """A version is loaded."""
        self._loaded(name, number)
        return {"name": name, "ready": True}

    async def infer(self, name: str, number: int, request: Request) -> Response:
        """Predict. The version that was found first answers, whatever the registry decides meanwhile."""
        model = self._loaded(name, number)
        body = await _body_of(request, bytes_max=self._request_bytes_max)
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        answer = await asyncio.get_running_loop().run_in_executor(self._pool, _answer, model, body)
        return Response(answer, media_type="application/json")

    def _loaded(self, name: str, number: int) -> LoadedModel:
        model = self._follower.models.get((name, number))
        if model is None:
            raise HTTPException(404, f"version {number} of {name} is not loaded here")
        return model


async def _refuse_bad_request(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, status_code=400)


async def _refuse_bad_path(_request: Request, _error: Exception) -> JSONResponse:
    return JSONResponse({"error": "a version is named by its number, as in /versions/3"}, status_code=400)


async def _refuse(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)
    return JSONResponse({"error": str(error.detail)}, status_code=error.status_code)


def _answer(model: LoadedModel, body: bytes) -> bytes:
    """One prediction request, read, run and written; runs on a thread of the pool."""
    request = parse_request(body, declared=model.inputs)
    outputs = model.run(request.inputs)
    about: Mapping[str, object] = {
        "model_name": model.name,
        "model_version": str(model.number),
        **({"id": request.id} if request.id is not None else {}),
        "parameters": {"digest": model.digest},
    }
    return answer_of(outputs, declared=model.outputs, about=about)


async def _body_of(request: Request, *, bytes_max: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            raise HTTPException(413, f"send at most {bytes_max:,} bytes in one request")
    return bytes(body)


def build_server_app(options: argparse.Namespace) -> FastAPI:
    """The app that follows a registry as long as it runs."""
    registry = RegistryClient(
        options.registry, token=options.token, project=options.project, timeout_s=REGISTRY_TIMEOUT_S
    )
    follower = ModelFollower(
        registry=registry, now=time.monotonic, model_type=options.model_type, grace_s=options.grace_s
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with registry, asyncio.TaskGroup() as tasks:
            following = tasks.create_task(follower.run())
            yield
            following.cancel()

    app = build_app(follower, threads=os.cpu_count() or 1, latency_s=options.latency_ms / 1_000)
    app.router.lifespan_context = lifespan
    return app


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; then finish what is in flight."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    uvicorn.run(
        build_server_app(options),
        host=options.host,
        port=options.port,
        access_log=False,
        log_config=None,
        limit_concurrency=REQUESTS_AT_ONCE_MAX,
        timeout_graceful_shutdown=DRAIN_TIMEOUT_S,
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m modelyard_examples.model_server", description=__doc__.split("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--registry", default="http://127.0.0.1:8080", help="the registry's address")
    parser.add_argument(
        "--token", default=os.environ.get("MODELYARD_TOKEN", ""), help="bearer token (or MODELYARD_TOKEN)"
    )
    parser.add_argument("--project", default="default")
    parser.add_argument("--model-type", help="serve models of this type only")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--grace-s", type=float, default=30.0, help="how long a version that left service stays loaded")
    parser.add_argument(
        "--latency-ms",
        type=float,
        default=float(os.environ.get("MODEL_SERVER_LATENCY_MS", "0")),
        help="delay every prediction, to test with a slow server",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
