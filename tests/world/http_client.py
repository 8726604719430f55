"""HTTP with JSON where every answer is a value, refusals included: tests judge them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import aiohttp

PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer; `document` is its JSON, or None when it is none."""

    operation: str
    status: int
    media_type: str
    body: bytes
    document: Any
    etag: str | None = None

    @property
    def was_accepted(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_problem(self) -> bool:
        """Whether it is a problem document that says what is wrong and how to mend it."""
        return (
            self.media_type == PROBLEM
            and isinstance(self.document, dict)
            and self.document.get("status") == self.status
            and bool(self.document.get("detail"))
            and bool(self.document.get("fix"))
        )

    def expect(self, status: int = 200, *more: int) -> Any:
        """The document of an answer that has one of these statuses. Fails with the answer's own words."""
        assert self.status in (status, *more), f"{self}, wanted {status}"
        return self.document

    def __str__(self) -> str:
        return f"{self.operation} answered {self.status}: {self.body[:1_000].decode(errors='replace')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpClient:
    """One service as one actor sees it."""

    session: aiohttp.ClientSession
    url: str
    token: str | None

    async def call(
        self,
        method: str,
        path: str,
        document: object = None,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request. Raises `aiohttp.ClientError` or `TimeoutError` when there is no answer."""
        identity = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self.session.request(
            method,
            self.url + path,
            json=document,
            data=None if data is None else BytesIO(data),
            params=query,
            headers={**identity, **(headers or {})},
        ) as answer:
            body = await answer.read()
            return Reply(
                operation=f"{method} {path}",
                status=answer.status,
                media_type=answer.content_type,
                body=body,
                document=_json(body),
                etag=answer.headers.get("ETag"),
            )


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
