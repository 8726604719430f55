"""What the registry says about access: API tokens and granted roles, each as one full document per key.

The newest document of a key is its whole truth, so whoever has read the topic can judge a token without
asking the registry. A token itself is never said, only its hash.
"""

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from modelyard_events.event import Event
from modelyard_events.values import Digest

ProjectScope = Annotated[str, StringConstraints(pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]{0,99})$")]
"""A project, or `*` for all of them."""


class ApiTokenChanged(Event):
    """An API token as it now is: whom it proves, what it permits, until when.

    `token_hash` is the SHA-256 of the whole token. `roles` count in `project`; `scopes`, when they are given,
    are the only permissions of these roles that the token carries. A revoked token stays on record.
    """

    type: ClassVar[str] = "api_token.changed.v1"

    token_id: str
    token_hash: Digest
    actor: Annotated[str, Field(min_length=1, max_length=200)]
    project: ProjectScope
    roles: tuple[str, ...]
    scopes: tuple[str, ...] | None = None
    expires_at: datetime
    revoked: bool = False


class RolesGranted(Event):
    """The roles that an actor now has in a project, besides those that its tokens carry; none is an answer, too."""

    type: ClassVar[str] = "roles.granted.v1"

    actor: Annotated[str, Field(min_length=1, max_length=200)]
    project: ProjectScope
    roles: tuple[str, ...] = ()
