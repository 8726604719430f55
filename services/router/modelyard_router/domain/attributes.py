"""Reads the routing attributes of a request. They are checked by hand, because every request has them."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from modelyard_events.identifiers import normalised_id
from modelyard_events.shown import shown
from modelyard_routing.bucketing import UNIT_TYPE_DEFAULT
from modelyard_routing.decision import RouteRequest
from modelyard_runtime.problems import InvalidRequestError

PROJECT_DEFAULT = "default"
ID_CHARACTERS_MAX = 200

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}").fullmatch
_IN_SLUG = re.compile(r"[A-Za-z0-9._-]").match
_WHOLE = r"(?:0|[1-9][0-9]{0,8})"
_SEMVER = re.compile(rf"v?({_WHOLE}\.{_WHOLE}\.{_WHOLE})").fullmatch
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
_NUMBER_MAX = 2**31 - 1


class Attributes(NamedTuple):
    """The route request, and the entity that a prediction is about, if there is one."""

    request: RouteRequest
    entity_type: str | None
    entity_id: str | None


def attributes_of(members: object) -> Attributes:
    """Return the attributes in a JSON object. A member that is null counts as absent.

    Raises InvalidRequestError, which names the member and the valid form.
    """
    if not isinstance(members, dict):
        raise InvalidRequestError(
            f"The routing attributes are {shown(members)}, not a JSON object.",
            fix='Send an object such as {"model_type": "risk-scoring"}.',
        )
    given: dict[str, Any] = {}
    for name, value in members.items():
        check = _CHECKS.get(name)
        if check is None:
            raise InvalidRequestError(
                f"{shown(name)} is not a routing attribute.", fix=f"Send only: {', '.join(_CHECKS)}."
            )
        if value is not None:
            given[name] = check(name, value)
    get = given.get
    _refuse_contradictions(given)
    return Attributes(
        RouteRequest(
            get("project", PROJECT_DEFAULT),
            get("model_type"),
            get("model"),
            get("tenant"),
            get("industry"),
            get("unit_id"),
            get("unit_type", UNIT_TYPE_DEFAULT),
            get("version"),
            get("alias"),
        ),
        get("entity_type"),
        get("entity_id"),
    )


def _refuse_contradictions(given: Mapping[str, Any]) -> None:
    if "model_type" not in given and "model" not in given:
        raise InvalidRequestError("Neither `model_type` nor `model` is given.", fix="Send one of them.")
    if "version" in given or "alias" in given:
        if "model" not in given:
            raise InvalidRequestError(
                "`version` and `alias` belong to a registered model.", fix="Send `model` as well."
            )
        if "version" in given and "alias" in given:
            raise InvalidRequestError("`version` and `alias` exclude each other.", fix="Send one of them.")
    if ("entity_type" in given) != ("entity_id" in given):
        raise InvalidRequestError(
            "`entity_type` and `entity_id` name an entity together.", fix="Send both, or neither."
        )


def _slug(name: str, value: Any) -> str:
    if isinstance(value, str) and _SLUG(value):
        return value
    _refuse_number(name, value)
    letters = value[:ID_CHARACTERS_MAX] if isinstance(value, str) else ""
    strange = next((each for each in letters if not _IN_SLUG(each)), None)
    raise InvalidRequestError(
        f"`{name}` is {shown(value)}{'' if strange is None else f', and {shown(strange)} is not taken there'}.",
        fix=f"Send `{name}` as 1 to 100 of A to Z, a to z, 0 to 9, dot, dash and underscore, a letter or digit first.",
    )


def _identifier(name: str, value: Any) -> str:
    if isinstance(value, str) and 0 < len(value) <= ID_CHARACTERS_MAX and not _CONTROL(value):
        # Normalised, because an entity's change comes from another system than the request about it.
        return normalised_id(value)
    _refuse_number(name, value)
    raise InvalidRequestError(
        f"`{name}` is {shown(value)}.",
        fix=f"Send `{name}` as a string of 1 to {ID_CHARACTERS_MAX} characters without control ones, or none.",
    )


def _refuse_number(name: str, value: Any) -> None:
    # A number is not converted to text: 1, 1.0 and "1" would be one unit here and three elsewhere.
    if type(value) in (int, float):
        raise InvalidRequestError(
            f"`{name}` is {shown(value)}, a number.", fix=f'Send `{name}` as a string: "{value}".'
        )


def _entity_id(name: str, value: Any) -> str:
    if value in (".", ".."):
        raise InvalidRequestError(
            f"`{name}` is {shown(value)}, which would climb the path of a feature source's address.",
            fix=f"Send another `{name}`, or all inputs without an entity.",
        )
    return _identifier(name, value)


def _alias(name: str, value: Any) -> str:
    # The registry writes an alias with @ in addresses, and without it in documents.
    return _slug(name, value[1:] if isinstance(value, str) and value.startswith("@") else value)


def _version(name: str, value: Any) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _NUMBER_MAX:
        return value
    if isinstance(value, str):
        if value.isascii() and value.isdigit() and len(value) < 10 and int(value) >= 1:
            return int(value)
        if semver := _SEMVER(value):
            return semver[1]
    raise InvalidRequestError(
        f"`{name}` is {shown(value)}.",
        fix=f'Send `{name}` as a number such as 3, or a semantic version such as "1.2.0".',
    )


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "project": _slug,
    "model_type": _slug,
    "model": _slug,
    "tenant": _slug,
    "industry": _slug,
    "unit_id": _identifier,
    "unit_type": _slug,
    "entity_type": _slug,
    "entity_id": _entity_id,
    "version": _version,
    "alias": _alias,
}
ATTRIBUTES = frozenset(_CHECKS)
