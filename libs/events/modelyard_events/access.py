"""What the registry says about access: API tokens, signing keys and granted roles, one full document per key.

The newest document of a key is its whole truth, so whoever has read the topic can judge a token without
asking the registry. A token itself is never said, only its hash; of a signing key only the public half exists here.
"""

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from modelyard_events.actors import actor_of_project
from modelyard_events.event import Event
from modelyard_events.limits import ACTOR_CHARS_MAX
from modelyard_events.values import Digest

ProjectScope = Annotated[str, StringConstraints(pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]{0,99})$")]
"""A project, or `*` for all of them."""


class ApiTokenChanged(Event):
    """An API token as it now is: whom it proves, what it permits, until when.

    `actor` is its name within `project`; what it does is done by `qualified_actor`. `token_hash` is the SHA-256 of the
    whole token. `roles` count in `project`; `scopes`, when they are given,
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

    @property
    def qualified_actor(self) -> str:
        """Whom the token proves, with where that actor comes from."""
        return actor_of_project(self.actor, project=self.project)


class SigningKeyChanged(Event):
    """A signing key as it now is: who signs events with it, for which project, on which ingest topics, until when.

    `public_key` are the 32 bytes of an Ed25519 public key in base64. `topics` are names of the catalogue.
    `tenants`, when they are given, are the only ones that its holder's events may be about. A revoked key stays
    on record.
    """

    type: ClassVar[str] = "signing_key.changed.v1"

    key_id: str
    public_key: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{43}=$")]
    actor: Annotated[str, Field(min_length=1, max_length=200)]
    project: ProjectScope
    topics: tuple[str, ...]
    tenants: tuple[str, ...] | None = None
    expires_at: datetime
    revoked: bool = False

    @property
    def qualified_actor(self) -> str:
        """Whose events the key signs, with where that actor comes from."""
        return actor_of_project(self.actor, project=self.project)


class RolesGranted(Event):
    """The roles that an actor of an identity provider now has in a project; none is an answer, too."""

    type: ClassVar[str] = "roles.granted.v1"

    actor: Annotated[str, Field(min_length=1, max_length=ACTOR_CHARS_MAX)]
    project: ProjectScope
    roles: tuple[str, ...] = ()
