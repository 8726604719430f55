"""The router as an inference gateway sees it: ask which version answers, or have it predict.

Plain aiohttp, so that it can be copied into any project. A refusal becomes a `RouterError` that
carries the problem document's own words.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import aiohttp

CONNECTIONS_MAX = 64

Document = dict[str, Any]


class RouterError(Exception):
    """The router did not answer with a prediction or a route."""

    def __init__(self, status: int, document: Document) -> None:
        super().__init__(f"{status}: {document.get('title', '')} {document.get('detail', '')}".strip())
        self.status = status
        self.document = document


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """An answer: the first output's first value, who gave it and why (`receipt`)."""

    value: float
    model: str
    number: int
    receipt: Mapping[str, Any]

    @property
    def reason(self) -> str:
        """Why this version answered."""
        return str(self.receipt["reason"])

    @property
    def cache(self) -> str:
        """`hit`, `miss` or `bypass`."""
        return str(self.receipt["cache"])


class RouterClient:
    """One router. Use it with `async with`; it holds a pool of connections."""

    def __init__(self, url: str, *, token: str, timeout_s: float = 10.0) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "RouterClient":
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            timeout=self._timeout,
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def route(self, **attributes: object) -> Document:
        """Which version and endpoint serve a request with these attributes, and why."""
        return await self._call("POST", "/v1/route", attributes)

    async def predict(self, attributes: Mapping[str, object], *, inputs: list[Document] | None = None) -> Prediction:
        """Predict. Without `inputs` the router reads the entity's features from the feature source."""
        answer = await self._call("POST", "/v1/predict", {"inputs": inputs or [], "parameters": attributes})
        return Prediction(
            value=float(_first(answer["outputs"][0]["data"])),
            model=answer["model_name"],
            number=int(answer["model_version"]),
            receipt=answer["parameters"],
        )

    async def routes(self) -> list[Document]:
        """The router's whole state: the routing document of each project and model type."""
        routes: list[Document] = (await self._call("GET", "/v1/routes"))["routes"]
        return routes

    async def _call(self, method: str, path: str, document: Mapping[str, object] | None = None) -> Document:
        if self._session is None:
            raise RuntimeError("use the client with `async with RouterClient(...) as router:`")
        async with self._session.request(method, self._url + path, json=document) as answer:
            body: Document = json.loads(await answer.read())
        if answer.status >= 400:
            raise RouterError(answer.status, body)
        return body


def _first(data: Any) -> Any:
    return _first(data[0]) if isinstance(data, list) else data
