"""Parameters of the query and the headers: those that an operation declares, each once.

A filter that is misspelt must not be overlooked: the answer would hold what nobody asked for.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, get_args, get_origin
from urllib.parse import unquote_to_bytes

from fastapi import Request
from fastapi.dependencies.models import Dependant
from modelyard_events.limits import ERROR_SHOWN_CHARS_MAX
from modelyard_events.strict_json import is_storable
from modelyard_runtime.problems import InvalidRequestError
from pydantic import BaseModel

NAMES_MAX = 100
"""Parameters of one request: the longest list of filters is shorter."""

OTHER_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "limit": "page_size", "max_results": "page_size", "per_page": "page_size", "count": "page_size",
        "size": "page_size", "offset": "page_token", "page": "page_token", "cursor": "page_token",
        "order_by": "sort", "sort_by": "sort", "from": "created_after", "since": "created_after",
        "until": "created_before", "to": "created_before", "name": "name_contains", "project": "project_id",
    }
)  # fmt: skip
"""What other APIs call a parameter, and what it is here; only where the operation has it."""

_SINGLE_HEADERS = frozenset({"content-type", "content-encoding", "authorization"})


class UnknownParameterError(InvalidRequestError):
    """The operation has no such parameter."""

    code = "unknown-parameter"
    when = "The query has a parameter that the operation does not take."
    fix = "Remove it, or correct its name; `fix` lists what the operation takes."


class RepeatedParameterError(InvalidRequestError):
    """What may be there once is there twice."""

    code = "repeated-parameter"
    when = "A header or a query parameter that may come once comes twice."
    fix = "Send it once."


@dataclass(frozen=True, slots=True)
class Parameters:
    """What one operation declares. `repeatable` are the names of the query that may be there several times."""

    query: frozenset[str]
    repeatable: frozenset[str]
    headers: frozenset[str]

    def judge(self, request: Request) -> None:
        """Refuse what is not declared, is there twice, or cannot be stored. Raises InvalidRequestError."""
        headers = [name for name, _ in request.scope["headers"]]
        if len(set(headers)) < len(headers):
            self._judge_headers(headers)
        raw = request.scope["query_string"]
        if raw:
            self._judge_query(raw, request.query_params.multi_items())

    def _judge_headers(self, headers: list[bytes]) -> None:
        for name in _twice(name.decode("latin-1") for name in headers):
            if name in self.headers:
                raise RepeatedParameterError(f"header.{name}: is there more than once.", fix="Send the header once.")

    def _judge_query(self, raw: bytes, items: list[tuple[str, str]]) -> None:
        names = [name for name, _ in items]
        if len(names) > NAMES_MAX:
            raise InvalidRequestError(f"query: has {len(names)} parameters.", fix=f"Send {NAMES_MAX} at most.")
        _refuse_undecodable(raw)
        for name, value in items:
            if name not in self.query:
                raise UnknownParameterError(
                    f"query.{name[:ERROR_SHOWN_CHARS_MAX]}: this operation has no such parameter.",
                    fix=_what_there_is(name, self.query),
                )
            if not is_storable(value):
                raise InvalidRequestError(f"query.{name}: holds NUL, which cannot be stored.", fix="Leave %00 out.")
        for name in _twice(iter(names)):
            if name not in self.repeatable:
                raise RepeatedParameterError(
                    f"query.{name}: is there more than once, and it is not said which is meant."
                )


def declared_by(dependants: Iterable[Dependant]) -> Parameters:
    """The parameters of an operation, those of its dependencies included."""
    query: dict[str, bool] = {}
    headers = set(_SINGLE_HEADERS)
    for dependant in dependants:
        for each in dependant.query_params:
            query.update(_names_of(each.alias, each.field_info.annotation))
        headers.update(each.alias.replace("_", "-").lower() for each in dependant.header_params)
    return Parameters(
        query=frozenset(query),
        repeatable=frozenset(name for name, is_list in query.items() if is_list),
        headers=frozenset(headers),
    )


def _names_of(alias: str, annotation: Any) -> dict[str, bool]:
    """The names that a parameter, or each field of a model of parameters, has in the query; true for lists."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.items()
        return {field.alias or name: _is_list(field.annotation) for name, field in fields}
    return {alias: _is_list(annotation)}


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) in (list, tuple) or any(_is_list(each) for each in get_args(annotation))


def _refuse_undecodable(raw: bytes) -> None:
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            "query: is not UTF-8 when it is decoded.", fix="Encode each parameter as UTF-8, then percent-encode it."
        ) from error


def _what_there_is(name: str, declared: Collection[str]) -> str:
    if not declared:
        return "Leave the query out: this operation takes no parameters in it."
    known = OTHER_WORDS.get(name.lower())
    close = [known] if known in declared else get_close_matches(name[:ERROR_SHOWN_CHARS_MAX], declared, n=1)
    guess = f"Did you mean {close[0]}? " if close else ""
    return f"{guess}The parameters are {', '.join(sorted(declared))}."


def _twice(names: Iterable[str]) -> Iterable[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)
