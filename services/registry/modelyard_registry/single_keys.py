"""A body that says one thing twice is refused: who checked the first value must not act on the second."""

import json

from fastapi import Request
from fastapi.routing import APIRoute
from modelyard_runtime.problems import InvalidRequestError


class DuplicateKeyError(InvalidRequestError):
    """A JSON object in the body has a member twice."""


async def refuse_duplicate_keys(request: Request) -> None:
    """Raise DuplicateKeyError; a body that is no JSON at all is left to whoever reads it."""
    route = request.scope.get("route")
    # An operation without a body document streams what it gets, which is not to be read here.
    if not isinstance(route, APIRoute) or route.body_field is None:
        return
    refuse_duplicates(await request.body())


def refuse_duplicates(body: bytes) -> None:
    """Raise DuplicateKeyError when an object in this JSON has a member twice."""
    try:
        json.loads(body, object_pairs_hook=_members)
    except (ValueError, RecursionError):
        return


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DuplicateKeyError(
            f"An object in the body has the member {twice[:100]!r} more than once.", fix="Give each member once."
        )
    return members
