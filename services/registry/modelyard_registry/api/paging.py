"""How lists page: after a key, so that a page costs the same however far into the list it is."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from modelyard_events.limits import INT32_MAX
from modelyard_events.strict_json import read_json
from modelyard_runtime.problems import InvalidRequestError
from pydantic import BaseModel

PAGE_SIZE = 50
PAGE_SIZE_MAX = 200

PageSize = Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX, description="How many items a page has at most.")]
PageToken = Annotated[str | None, Query(max_length=1_000, description="`next_page_token` of the page before this one.")]

Item = TypeVar("Item")
Row = TypeVar("Row")
Key = TypeVar("Key", str, int, UUID)


class Page(BaseModel, Generic[Item]):
    """Some items of a list; a subclass for each kind of item gives it a name in the OpenAPI document."""

    items: list[Item]
    next_page_token: str | None


SomePage = TypeVar("SomePage", bound=Page[Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which page a caller wants."""

    size: int
    token: str | None

    @property
    def limit(self) -> int:
        """How many rows to read: one more than the page shows, which says whether another page follows."""
        return self.size + 1

    def after(self, kind: type[Key]) -> Key | None:
        """The key of the last row of the page before; None on the first page. Raises InvalidRequestError."""
        position = decode_page_token(self.token, shape=(kind,))
        return position[0] if position else None

    def cut(self, found: Sequence[Row], *, token: Callable[[Row], str]) -> tuple[Sequence[Row], str | None]:
        """The rows of this page among `found`, and the token of the next page; None at the end."""
        rows = found[: self.size]
        return rows, token(rows[-1]) if len(found) > self.size else None

    def page(
        self,
        kind: type[SomePage],
        found: Sequence[Row],
        *,
        of: Callable[[Row], object],
        key: Callable[[Row], str | int | UUID],
    ) -> SomePage:
        """The page of `kind` with what `of` makes of each row; the next one begins after the last row's `key`."""
        rows, token = self.cut(found, token=lambda row: encode_page_token([key(row)]))
        return kind(items=[of(row) for row in rows], next_page_token=token)


def _page_request(page_size: PageSize = PAGE_SIZE, page_token: PageToken = None) -> PageRequest:
    return PageRequest(size=page_size, token=page_token)


Paging = Annotated[PageRequest, Depends(_page_request)]
"""The page that is wanted, as an operation's parameter: `page_size` and `page_token` of the query."""


def encode_page_token(position: list[str | int | UUID]) -> str:
    """The opaque token for "after this position"."""
    return base64.urlsafe_b64encode(json.dumps(position, default=str).encode()).decode().rstrip("=")


def decode_page_token(token: str | None, *, shape: tuple[type, ...]) -> list[Any] | None:
    """The position in a token that `encode_page_token` made; None when there is no token.

    `shape` gives the types of its parts. Raises InvalidRequestError for anything that we did not make.
    """
    if token is None:
        return None
    try:
        texts = read_json(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if not isinstance(texts, list):
            raise TypeError("a list expected")
        return [_part(text, kind) for text, kind in zip(texts, shape, strict=True)]
    except (ValueError, TypeError) as error:
        raise InvalidRequestError(
            "page_token is none that this list gave out.",
            fix="Use `next_page_token` of the page before, unchanged, or leave it out to begin again.",
        ) from error


def _part(text: object, kind: type) -> object:
    if kind is UUID and isinstance(text, str):
        return UUID(text)
    if type(text) is not kind:
        raise TypeError(f"{kind.__name__} expected")
    if isinstance(text, int) and not 0 <= text <= INT32_MAX:
        raise ValueError("no version has this number")
    return text
