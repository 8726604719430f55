"""Paths by their encoded form, in which a slash of a name (`%2F`) is told from a slash between segments.

`scope["path"]` cannot tell `a%2Fb` from `a%252Fb`: it holds `a%2Fb` for both. What a name means is therefore decoded,
once, from `scope["raw_path"]`.
"""

import string
from urllib.parse import quote, unquote

from starlette.types import Scope

_SAFE = "".join(set(string.punctuation) - set("%/?#"))


def decode_path_from(scope: Scope, *, segment: int) -> str:
    """The path from this segment on (the first is 1), decoded once: `/files/a%2Fb/c` from 2 is `a/b/c`."""
    return unquote(_raw_path(scope).split("/", segment)[segment])


def normal_path(scope: Scope) -> str:
    """The path in one spelling: two paths are equal in it exactly when all their decoded segments are."""
    raw_path = _raw_path(scope)
    if "%" not in raw_path:
        return raw_path
    return "/".join(quote(unquote(segment), safe=_SAFE) for segment in raw_path.split("/"))


def _raw_path(scope: Scope) -> str:
    raw_path: bytes = scope["raw_path"]
    return raw_path.decode("ascii")
