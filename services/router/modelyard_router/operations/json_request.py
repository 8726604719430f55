"""Reads the JSON body of a request."""

from modelyard_router.domain.json_body import DuplicateMemberError, TooManyValuesError, json_in
from modelyard_router.problems import DuplicateKeyError, MalformedBodyError, RequestTooLargeError


def json_of(body: bytes) -> object:
    """Return the JSON value in a body. Raises MalformedBodyError, DuplicateKeyError or RequestTooLargeError."""
    try:
        return json_in(body)
    except DuplicateMemberError as error:
        raise DuplicateKeyError(f"In the body {error}.") from error
    except TooManyValuesError as error:
        raise RequestTooLargeError(f"The body is too large: {error}.") from error
    except ValueError as error:
        raise MalformedBodyError(f"The body is not JSON: {error}.") from error
