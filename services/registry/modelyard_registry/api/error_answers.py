"""How the OpenAPI document describes error answers."""

from typing import Any

from modelyard_runtime.problems import documented

_DESCRIPTIONS = {
    400: "The body is not what its headers say",
    401: "No token, or one that nobody holds",
    403: "The caller is known and lacks the permission; `fix` names the roles that have it",
    404: "There is no such thing; `detail` says what is missing",
    409: "The present state does not allow it; `fix` says what would",
    412: "It is not any more what `If-Match` says; `revision` is the present one",
    413: "The body is larger than this operation reads",
    415: "The body is not JSON in UTF-8 by its headers; `fix` says which header to send",
    422: "The request is malformed; `errors` lists the fields",
    503: "A part that is needed is away for the moment; try again after `Retry-After` seconds",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documentation of error answers, for `responses=`; 401, 403, 422 and 503 are always among them."""
    return documented({status: _DESCRIPTIONS[status] for status in sorted({401, 403, 422, 503, *statuses})})
