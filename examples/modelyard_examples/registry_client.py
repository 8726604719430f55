"""The registry as a training job and a model server see it: a few HTTP calls with a bearer token.

Plain aiohttp, so that it can be copied into any project. A refusal of the registry becomes a
`RegistryError` that carries the problem document's own words.
"""

import io
import json
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote

import aiohttp

ANSWER_BYTES_MAX = 512 * 1024 * 1024
PAGE_ITEMS = 100
CONNECT_TIMEOUT_S = 3.0

Document = dict[str, Any]


class RegistryError(Exception):
    """The registry refused the call, or answered something that is not its API."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail


class RegistryClient:
    """One project of one registry. Use it with `async with`; it holds a pool of connections.

    Methods raise RegistryError when the registry says no, and `aiohttp.ClientError` or `TimeoutError` when it
    cannot be reached.
    """

    def __init__(self, url: str, *, token: str, project: str = "default", timeout_s: float = 30.0) -> None:
        self._root = f"{url.rstrip('/')}/api/v1"
        self._base = f"{self._root}/projects/{quote(project, safe='')}"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "RegistryClient":
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=self._timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def create_project(self, name: str, *, description: str) -> bool:
        """Create a project, which takes an admin of all projects. False when one of that name is already there."""
        document = {"name": name, "description": description}
        try:
            await self._request("POST", "/projects", document=document, below=self._root)
        except RegistryError as error:
            if error.status == 409:
                return False
            raise
        return True

    async def create_registered_model(self, document: Mapping[str, object]) -> bool:
        """Create a registered model. False when one of that name is already there."""
        try:
            await self.call("POST", "/registered-models", document)
        except RegistryError as error:
            if error.status == 409:
                return False
            raise
        return True

    async def upload_artifact(self, digest: str, artifact: bytes) -> None:
        """Store the bytes under their digest. Uploading the same bytes again changes nothing."""
        await self._request("PUT", f"/artifacts/{digest}", data=io.BytesIO(artifact))

    async def register_version(self, model: str, document: Mapping[str, object]) -> Document:
        """Register an uploaded artifact as the next version of `model`; answers the version."""
        return await self.call("POST", f"/registered-models/{_quoted(model)}/versions", document)

    async def get_version(self, model: str, number: int) -> Document:
        """One version with its evidence."""
        return await self.call("GET", f"/registered-models/{_quoted(model)}/versions/{number}")

    async def transition(self, model: str, number: int, *, to_stage: str, reason: str) -> Document:
        """Move a version to another stage."""
        path = f"/registered-models/{_quoted(model)}/versions/{number}/transitions"
        return await self.call("POST", path, {"to_stage": to_stage, "reason": reason})

    async def record_deployment(self, model: str, number: int, *, url: str, timeout_s: float = 2.0) -> Document:
        """Say that a version answers predictions at `url`, so that it can be routed to."""
        path = f"/registered-models/{_quoted(model)}/versions/{number}/deployments/production"
        document = {
            "url": url, "protocol": "open-inference-v2", "health": "healthy", "timeout_s": timeout_s,
        }  # fmt: skip
        return await self.call("PUT", path, document)

    async def register_signing_key(self, document: Mapping[str, object]) -> Document:
        """Bind the public half of a signing key to an actor; it needs the permission to manage access."""
        return _object(await self._request("POST", "/access/signing-keys", document=document, below=self._root))

    def list_registered_models(self, *, model_type: str | None = None) -> AsyncIterator[Document]:
        """All registered models, or those of one type, page by page."""
        return self._items("/registered-models", {"model_type": model_type} if model_type else {})

    def list_versions(self, model: str, *, stage: str | None = None) -> AsyncIterator[Document]:
        """All versions of a registered model, or those in one stage, page by page."""
        return self._items(f"/registered-models/{_quoted(model)}/versions", {"stage": stage} if stage else {})

    async def download_artifact(self, model: str, number: int) -> bytes:
        """The bytes of a version. Whoever loads them checks them against the version's digest first."""
        path = f"/registered-models/{_quoted(model)}/versions/{number}/artifact"
        return await self._request("GET", path)

    async def call(self, method: str, path: str, document: Mapping[str, object] | None = None) -> Document:
        """Any other call of the API, below the project: JSON in, a JSON object out."""
        return _object(await self._request(method, path, document=document))

    async def _items(self, path: str, query: Mapping[str, str]) -> AsyncIterator[Document]:
        token: str | None = None
        while True:
            page_query = {**query, "page_size": str(PAGE_ITEMS)} | ({"page_token": token} if token else {})
            page = _object(await self._request("GET", path, query=page_query))
            for item in page["items"]:
                yield item
            token = page.get("next_page_token")
            if not token:
                return

    async def _request(
        self,
        method: str,
        path: str,
        *,
        document: Mapping[str, object] | None = None,
        data: io.BytesIO | None = None,
        query: Mapping[str, str] | None = None,
        below: str | None = None,
    ) -> bytes:
        if self._session is None:
            raise RuntimeError("use the client with `async with RegistryClient(...) as registry:`")
        url = (below or self._base) + path
        async with self._session.request(method, url, json=document, data=data, params=query) as answer:
            body = await _read_bounded(answer)
        if answer.status >= 400:
            raise RegistryError(answer.status, _detail_of(body))
        return body


async def _read_bounded(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(256 * 1024):
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise RegistryError(answer.status, f"the answer of {answer.url} is larger than this client takes")
    return bytes(body)


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _object(body: bytes) -> Document:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise RegistryError(200, f"the registry's answer is not JSON: {body[:200]!r}") from error
    if not isinstance(document, dict):
        raise RegistryError(200, f"the registry's answer is not a JSON object: {body[:200]!r}")
    return document


def _detail_of(body: bytes) -> str:
    """What an `application/problem+json` document says, or the beginning of whatever came instead."""
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        return body[:500].decode(errors="replace")
    said = (problem.get(part) for part in ("title", "detail", "fix"))
    return " ".join(str(part) for part in said if part)
