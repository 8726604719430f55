"""Settings that every service has, read once from the environment (`MODELYARD_…`) in `__main__`."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from modelyard_runtime.issuers import IssuerSettings
from modelyard_runtime.permissions import Role


class ServiceSettings(BaseSettings):
    """What each service needs to know about its surroundings.

    `tokens` maps an actor to the bearer token that proves it, and `token_roles` an actor to its roles in each
    project (`*` stands for all): whom it does not name is admin everywhere. `oidc_issuers` are
    the identity providers whose access tokens are taken, in every service alike. `outbound_allow` are the networks that
    requests may leave for besides the public internet, as CIDR blocks: private addresses are refused
    unless they are listed.
    """

    model_config = SettingsConfigDict(env_prefix="MODELYARD_", extra="ignore")

    kafka_bootstrap: str = "127.0.0.1:9092"
    topic_prefix: str = ""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    shutdown_grace_s: Annotated[float, Field(gt=0)] = 10.0
    tokens: dict[str, SecretStr] = {}
    token_roles: dict[str, dict[str, frozenset[Role]]] = {}
    oidc_issuers: tuple[IssuerSettings, ...] = ()
    outbound_allow: tuple[str, ...] = ()
