"""A registry of a few lines: just what a training job and a model server can see of the real one."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException, Request, Response

TOKEN = "a-token"
PAGE_ITEMS = 2


@dataclass(slots=True)
class FakeRegistry:
    """Its contents are there to be changed by a test. `digests` are on record, `artifacts` are the bytes."""

    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: list[dict[str, Any]] = field(default_factory=list)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    is_down: bool = False
    downloads: list[str] = field(default_factory=list)
    download_may_end: asyncio.Event | None = None

    def add_version(self, model: str, *, digest: str, artifact: bytes, stage: str = "staging") -> dict[str, Any]:
        """A version in `stage` whose download gives `artifact`, whatever its digest says."""
        self.models.setdefault(model, {"name": model, "model_type": "risk_scoring"})
        number = 1 + sum(version["model"] == model for version in self.versions)
        version = {"model": model, "number": number, "semver": f"1.{number - 1}.0", "stage": stage}
        self.versions.append(version | {"digest": digest})
        self.artifacts[digest] = artifact
        return self.versions[-1]

    def app(self) -> FastAPI:
        app = FastAPI(dependencies=[])
        base = "/api/v1/projects/{project}"
        app.middleware("http")(self._guard)
        app.add_api_route(f"{base}/registered-models", self._list_models)
        app.add_api_route(f"{base}/registered-models", self._create_model, methods=["POST"], status_code=201)
        app.add_api_route(f"{base}/registered-models/{{name}}/versions", self._list_versions)
        app.add_api_route(
            f"{base}/registered-models/{{name}}/versions", self._register, methods=["POST"], status_code=201
        )
        app.add_api_route(f"{base}/registered-models/{{name}}/versions/{{number}}/artifact", self._download)
        app.add_api_route(f"{base}/artifacts/{{digest}}", self._upload, methods=["PUT"], status_code=201)
        return app

    async def _guard(self, request: Request, call_next: Any) -> Response:
        if self.is_down:
            return Response(status_code=503)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Response('{"title": "Not authenticated", "detail": "no token"}', status_code=401)
        answer: Response = await call_next(request)
        return answer

    async def _list_models(self, model_type: str | None = None, page_token: str = "0") -> dict[str, Any]:
        models = [model for model in self.models.values() if model_type in (None, model["model_type"])]
        return _page(models, token=page_token)

    async def _create_model(self, document: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        if document["name"] in self.models:
            raise HTTPException(409, "there is one of that name")
        self.models[document["name"]] = document
        return document

    async def _list_versions(self, name: str, stage: str | None = None, page_token: str = "0") -> dict[str, Any]:
        versions = [version for version in self.versions if version["model"] == name]
        return _page([each for each in versions if stage in (None, each["stage"])], token=page_token)

    async def _register(self, name: str, document: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        if document["digest"] not in self.artifacts:
            raise HTTPException(409, "upload the artifact first")
        artifact = self.artifacts[document["digest"]]
        version = self.add_version(name, digest=document["digest"], artifact=artifact, stage="development")
        version["evidence"] = document["evidence"]
        return version

    async def _download(self, name: str, number: int) -> Response:
        self.downloads.append(f"{name}:{number}")
        if self.download_may_end is not None:
            await self.download_may_end.wait()
        version = next(each for each in self.versions if (each["model"], each["number"]) == (name, number))
        return Response(self.artifacts[version["digest"]], media_type="application/octet-stream")

    async def _upload(self, digest: str, request: Request) -> dict[str, Any]:
        self.artifacts[digest] = await request.body()
        return {"digest": digest}


def _page(items: list[dict[str, Any]], *, token: str) -> dict[str, Any]:
    start = int(token)
    following = str(start + PAGE_ITEMS) if start + PAGE_ITEMS < len(items) else None
    return {"items": items[start : start + PAGE_ITEMS], "next_page_token": following}
