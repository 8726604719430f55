"""Lists of models and of versions: any filter, any sort, and pages that cost the same however far in they are.

A page goes on after the last row of the page before it (keyset), by the sort's own value and then by what makes
the order total. A row that changes its value meanwhile may be seen again or missed; no other row is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from modelyard_events.limits import MOMENT_MAX, MOMENT_MIN
from modelyard_runtime.problems import InvalidRequestError

from modelyard_registry.api.paging import decode_page_token, encode_page_token
from modelyard_registry.models.domain import ModelVersion, RegisteredModel, SemanticVersion

METRIC_PREFIX = "metric:"
_INT_MAX = 2**31 - 1


class SortInvalidError(InvalidRequestError):
    """The list cannot be sorted like this."""

    code = "sort-invalid"
    when = "`sort` names nothing that the list can be sorted by."
    fix = "Use one of the names that `fix` lists, with a `-` before it for the other direction."


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort:
    """In which order a list is: by what, and in which direction. `metric` is set when it is by a metric."""

    by: str
    descending: bool

    @property
    def metric(self) -> str | None:
        """The metric's name, when that is what the list is sorted by."""
        return self.by.removeprefix(METRIC_PREFIX) if self.by.startswith(METRIC_PREFIX) else None

    def __str__(self) -> str:
        return f"-{self.by}" if self.descending else self.by


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One part of a position in a list: the SQL that gives it, its type in a page token, and both ways between."""

    column: str
    kind: type
    to_token: Callable[[Any], Any] = lambda value: value
    from_token: Callable[[Any], Any] = lambda text: text


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or not MOMENT_MIN <= moment <= MOMENT_MAX:
        raise ValueError("a moment has a time zone, and exists in UTC")
    return moment


def _number(number: int) -> int:
    if not 0 <= number <= _INT_MAX:
        raise ValueError("no version has this number")
    return number


def _semver(text: str) -> list[int]:
    semver = SemanticVersion.find(text)
    if semver is None:
        raise ValueError("no semantic version")
    return [semver.major, semver.minor, semver.patch]


def a_text(column: str) -> Key:
    """A part that is text."""
    return Key(column=column, kind=str)


def a_moment(column: str) -> Key:
    """A part that is a moment."""
    return Key(column=column, kind=str, to_token=datetime.isoformat, from_token=_moment)


def a_number(column: str) -> Key:
    """A part that is a version's number."""
    return Key(column=column, kind=int, from_token=_number)


def a_semver(column: str) -> Key:
    """A part that is a semantic version."""
    return Key(column=column, kind=str, to_token=str, from_token=_semver)


def a_value(column: str) -> Key:
    """A part that is a metric's value."""
    return Key(column=column, kind=float)


def an_id(column: str) -> Key:
    """A part that is an id."""
    return Key(column=column, kind=UUID)


def parse_sort(text: str, *, known: Sequence[str]) -> Sort:
    """The sort that `text` asks for: a name, after `-` when descending. Raises SortInvalidError."""
    by = text.removeprefix("-")
    kind = METRIC_PREFIX if by.startswith(METRIC_PREFIX) else by
    if kind not in known or by == METRIC_PREFIX:
        raise SortInvalidError(
            f"{text[:100]!r} is nothing that this list can be sorted by.",
            fix=f"Use {', '.join(f'{name}<name>' if name == METRIC_PREFIX else name for name in known)},"
            " with a `-` before it for the other direction.",
        )
    return Sort(by=by, descending=text.startswith("-"))


def encode_position(sort: Sort, keys: Sequence[Key], values: Sequence[Any]) -> str:
    """The page token for "after this row"."""
    return encode_page_token([str(sort), *(key.to_token(value) for key, value in zip(keys, values, strict=True))])


def decode_position(token: str | None, sort: Sort, keys: Sequence[Key]) -> list[Any] | None:
    """The position that the token of the page before tells; None on the first page. Raises InvalidRequestError."""
    position = decode_page_token(token, shape=(str, *(key.kind for key in keys)))
    if position is None:
        return None
    try:
        if position[0] != str(sort):
            raise ValueError("another sort")
        return [key.from_token(part) for key, part in zip(keys, position[1:], strict=True)]
    except ValueError as error:
        raise InvalidRequestError(
            "page_token belongs to a list that is sorted otherwise.",
            fix="Send the same `sort` with each page, or leave page_token out to begin again.",
        ) from error


class Conditions:
    """The conditions of a statement with their arguments, numbered as they come."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self.arguments: list[Any] = []

    def argument(self, value: Any) -> str:
        """The placeholder of one more argument."""
        self.arguments.append(value)
        return f"${len(self.arguments)}"

    def add(self, text: str, *values: Any) -> None:
        """One more condition; each `{}` in it stands for the next of `values`."""
        self._texts.append(text.format(*(self.argument(value) for value in values)))

    def add_given(self, text: str, value: Any) -> None:
        """One more condition, unless there is no value."""
        if value is not None:
            self.add(text, value)

    def go_on_after(self, position: Sequence[Any] | None, keys: Sequence[Key], sort: Sort) -> None:
        """Only rows behind `position`."""
        if position is not None:
            columns = ", ".join(key.column for key in keys)
            places = ", ".join("{}" for _ in keys)
            self.add(f"({columns}) {'<' if sort.descending else '>'} ({places})", *position)

    def __str__(self) -> str:
        return " AND ".join(self._texts)


def order_by(keys: Sequence[Key], sort: Sort) -> str:
    """The order that keyset paging relies on: all parts in one direction."""
    direction = "DESC" if sort.descending else "ASC"
    return "ORDER BY " + ", ".join(f"{key.column} {direction}" for key in keys)


def model_position(model: RegisteredModel, sort: Sort) -> list[Any]:
    """Where a model stands in a list of models."""
    return [model.name] if sort.by == "name" else [getattr(model, sort.by), model.id]


def version_position(version: ModelVersion, sort: Sort, *, of_project: bool) -> list[Any]:
    """Where a version stands in a list of a model's versions, or of a project's."""
    last = version.id if of_project else version.number
    if sort.metric is not None:
        return [version.evidence.metrics[sort.metric], last]
    return [version.number] if sort.by == "number" else _with_last(getattr(version, sort.by), sort, last)


def _with_last(value: Any, sort: Sort, last: Any) -> list[Any]:
    return [value] if sort.by == "semver" else [value, last]
