"""`If-Match`: a change is made only to what the caller has seen.

A document's `revision` is its entity tag. An operation that changes one says how to read the present
revision under the lock that the change itself takes; the comparison is then part of the change.
"""

import re
from collections.abc import Awaitable, Callable

from modelyard_runtime.problems import ConflictError, InvalidRequestError
from pydantic import BaseModel

from modelyard_registry.transactions import Transaction

ReadRevision = Callable[[Transaction], Awaitable[int]]
"""Lock what is about to change, and answer its present revision."""

IF_MATCH_CHARS_MAX = 500
IF_MATCH_PATTERN = r'^(\*|"[0-9]{1,18}"( *, *"[0-9]{1,18}")*)$'
_TAG = re.compile(r'"([0-9]{1,18})"')


class RevisionChangedError(ConflictError):
    """What is to be changed is not any more what the caller has seen."""

    code = "revision-changed"
    status = 412
    when = "The document changed since the caller read it: its ETag is not the one in `If-Match`."
    fix = "Read it again, decide again, and send the new ETag as If-Match."


class IfMatchInvalidError(InvalidRequestError):
    """If-Match holds no entity tag of this registry."""

    code = "if-match-invalid"
    when = "The header `If-Match` is not a list of entity tags that this registry gives."
    fix = 'Send the ETag of the answer that you have seen, with its quotes ("3"), or leave the header out.'


class IfMatchUnsupportedError(InvalidRequestError):
    """This operation changes nothing that has an entity tag."""

    code = "if-match-unsupported"
    when = "The header `If-Match` comes with an operation that changes nothing with an ETag."
    fix = "Leave If-Match out."


def parse_if_match(header: str | None) -> frozenset[int] | None:
    """The revisions that `header` accepts; None when it accepts any. Raises IfMatchInvalidError."""
    if header is None or header.strip() == "*":
        return None
    matches = [_TAG.fullmatch(tag.strip()) for tag in header.split(",")]
    revisions = frozenset(int(match[1]) for match in matches if match)
    if not all(matches):
        raise IfMatchInvalidError(f"If-Match is {header[:100]!r}.")
    return revisions


async def check_revision(tx: Transaction, *, accepted: frozenset[int] | None, read: ReadRevision | None) -> None:
    """Go on only when the present revision is an accepted one.

    Raises RevisionChangedError, or IfMatchUnsupportedError when the operation reads no revision.
    """
    if accepted is None:
        return
    if read is None:
        raise _unsupported()
    refuse_unless_accepted(await read(tx), accepted=accepted)


def refuse_unless_accepted(revision: int, *, accepted: frozenset[int] | None) -> None:
    """Raise RevisionChangedError unless the present revision is an accepted one."""
    if accepted is None or revision in accepted:
        return
    raise RevisionChangedError(
        f"The present revision is {revision}; the request was made for {sorted(accepted)}.",
        revision=revision,
    )


def refuse_revisions(accepted: frozenset[int] | None) -> None:
    """For an operation that compares none. Raises IfMatchUnsupportedError when the caller wants one compared."""
    if accepted is not None:
        raise _unsupported()


def _unsupported() -> IfMatchUnsupportedError:
    return IfMatchUnsupportedError("If-Match means nothing to this operation.")


def etag_headers(body: BaseModel) -> dict[str, str]:
    """The headers of an answer about something that has a `revision`: its entity tag."""
    return etag_of(getattr(body, "revision", None))


def etag_of(revision: object) -> dict[str, str]:
    """The header for one revision; none when there is no revision."""
    return {"etag": f'"{revision}"'} if isinstance(revision, int) else {}
