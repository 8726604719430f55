"""Who caused something, named so that nobody from elsewhere can bear the same name.

`ada` is whom the operators named in the settings. `acme/ada` has a token or a signing key of the project acme, `*/ada`
one for all projects. `corp:ada` is whom the identity provider `corp` vouches for, `service:router` a service.

No project has a `/` or a `:` in its name, no provider a `/`, no actor of the settings either: the first of the two
signs tells where an actor comes from.
"""

from typing import NamedTuple

PROJECT_END, ISSUER_END = "/", ":"
RESERVED_ISSUERS = frozenset({"service", "training-job"})
"""What stands before the `:` of actors that no identity provider vouches for."""


class ProjectActor(NamedTuple):
    """An actor to whom a project, or all of them (`*`), gave a token or a key."""

    project: str
    name: str


def actor_of_project(name: str, *, project: str) -> str:
    """The actor of a token or signing key that was given out in `project`, `*` for all projects."""
    return f"{project}{PROJECT_END}{name}"


def actor_of_issuer(subject: str, *, issuer: str) -> str:
    """The actor whom the identity provider of that name vouches for."""
    return f"{issuer}{ISSUER_END}{subject}"


def project_actor(actor: str) -> ProjectActor | None:
    """Which project gave the actor a token or key, and under which name; None for actors from elsewhere."""
    project, slash, name = actor.partition(PROJECT_END)
    return ProjectActor(project, name) if slash and ISSUER_END not in project else None


def is_issuers_actor(actor: str) -> bool:
    """Whether an identity provider could vouch for that actor: any printable subject behind the provider's name."""
    issuer, colon, subject = actor.partition(ISSUER_END)
    return bool(issuer and colon and subject) and PROJECT_END not in issuer and actor.isprintable()


def is_operators_name(name: str) -> bool:
    """Whether the settings may give that name: it cannot be taken for an actor from elsewhere."""
    return bool(name) and PROJECT_END not in name and ISSUER_END not in name
