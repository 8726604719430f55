"""What router and cache invalidator say about callers whom they knew and refused: the registry puts it on record."""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from modelyard_events.event import Event
from modelyard_events.limits import ACTOR_CHARS_MAX
from modelyard_events.values import Slug

Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,300}$")]
"""A line of text without control characters."""


class AccessRefused(Event):
    """A known caller was refused for want of a permission, `count` times: a minute's repetitions are one fact.

    `operation` is method and path. They, the project and the request id are those of the last of the refused
    requests; `project` is `default` when the operation is about none.
    """

    type: ClassVar[str] = "access.refused.v1"

    service: Slug
    actor: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=ACTOR_CHARS_MAX)]
    permission: Annotated[str, StringConstraints(pattern=r"^[a-z]+(-[a-z]+)*:[a-z]+(-[a-z]+)*$", max_length=60)]
    project: Slug
    operation: Line
    reason: Line
    request_id: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]
    count: Annotated[int, Field(ge=1)] = 1
