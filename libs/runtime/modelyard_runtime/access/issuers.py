"""The identity providers that a service believes, as its settings name them."""

from typing import Annotated

from modelyard_events.actors import RESERVED_ISSUERS
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from modelyard_runtime.access.permissions import Role


def _free(name: str) -> str:
    if name in RESERVED_ISSUERS:
        raise ValueError(f"{name} is kept for Modelyard's own actors: choose another name")
    return name


class IssuerSettings(BaseModel):
    """An identity provider that is believed.

    `name` prefixes its actors, as in `corp:alice`, so that they cannot pass for anyone else's. `jwks_url` is found
    through the provider's discovery document when it is absent. `role_claims` maps a value of the claim
    `roles_claim` (a claim of that whole name, as a URL, or else dots lead into nested objects) to roles by project; `*`
    stands for all projects.
    `token_types` are the header `typ`s that are taken, in lower case. Its last known keys count for `keys_kept_s`
    seconds while it is away. A token that would count for more than `lifetime_s_max` seconds from now is refused.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$"), AfterValidator(_free)]
    issuer: str
    audience: str = Field(min_length=1)
    jwks_url: str | None = None
    actor_claim: str = "sub"
    roles_claim: str | None = None
    role_claims: dict[str, dict[str, frozenset[Role]]] = {}
    token_types: tuple[str, ...] = ("at+jwt", "application/at+jwt")
    keys_kept_s: Annotated[float, Field(gt=0)] = 3_600.0
    lifetime_s_max: Annotated[float, Field(gt=0, le=31 * 86_400)] = 86_400.0
