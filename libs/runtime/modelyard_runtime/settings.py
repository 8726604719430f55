"""Settings that every service has, read once from the environment (`MODELYARD_…`) in `__main__`."""

from typing import Annotated, Any, Literal

from modelyard_events.access import ProjectScope
from modelyard_events.actors import is_operators_name
from modelyard_events.topics import ENTITY_CHANGES, TOPICS, Kind
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from modelyard_runtime.access.issuers import IssuerSettings
from modelyard_runtime.access.permissions import ALL_PROJECTS, Role
from modelyard_runtime.http.limits import HttpLimits
from modelyard_runtime.kafka_settings import KafkaSettings


class ServiceSettings(KafkaSettings, BaseSettings):
    """What each service needs to know about its surroundings.

    `tokens` maps an actor to the bearer token that proves it, and `token_roles` an actor to its roles in each
    project (`*` stands for all): whom it does not name is admin everywhere. `oidc_issuers` are
    the identity providers whose access tokens are taken, in every service alike. `outbound_allow` are the networks that
    requests may leave for besides the public internet, as CIDR blocks: private addresses are refused
    unless they are listed. With `access_log` each request gets a line in the log; `access_log_sample` is the share of
    answers below 400 that get one, all others always do.
    The `http_` limits hold for every connection, before anybody has proved who sends: bytes and number of headers, the
    time for the whole head of a request, between two pieces of its body, between requests, for reading the answer. Of
    `http_connections_max` connections those go first, when others come, that only wait.
    """

    model_config = SettingsConfigDict(env_prefix="MODELYARD_", extra="ignore")

    topic_prefix: str = ""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    access_log: bool = True
    access_log_sample: Annotated[float, Field(ge=0, le=1)] = 1.0
    http_head_bytes_max: Annotated[int, Field(ge=4_096, le=1_048_576)] = 64 * 1024
    http_headers_max: Annotated[int, Field(ge=10, le=10_000)] = 100
    http_head_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    http_body_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    http_idle_timeout_s: Annotated[float, Field(gt=0)] = 75.0
    http_answer_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    http_connections_max: Annotated[int, Field(gt=0)] = 2_000
    shutdown_grace_s: Annotated[float, Field(gt=0)] = 10.0
    tokens: dict[str, SecretStr] = {}
    token_roles: dict[str, dict[str, frozenset[Role]]] = {}
    oidc_issuers: tuple[IssuerSettings, ...] = ()
    outbound_allow: tuple[str, ...] = ()

    def http_limits(self) -> HttpLimits:
        """What a connection may take before anybody has proved who sends."""
        return HttpLimits(
            head_bytes_max=self.http_head_bytes_max,
            headers_max=self.http_headers_max,
            head_timeout_s=self.http_head_timeout_s,
            body_timeout_s=self.http_body_timeout_s,
            idle_timeout_s=self.http_idle_timeout_s,
            answer_timeout_s=self.http_answer_timeout_s,
            connections_max=self.http_connections_max,
        )

    @field_validator("tokens", "token_roles")
    @classmethod
    def _refuse_names_of_others(cls, named: dict[str, Any]) -> dict[str, Any]:
        for actor in named:
            if not is_operators_name(actor):
                raise ValueError(f"{actor!r}: an actor of the settings has no `/` and no `:`, as those of others have")
        return named

    @field_validator("oidc_issuers")
    @classmethod
    def _refuse_issuers_of_one_name(cls, issuers: tuple[IssuerSettings, ...]) -> tuple[IssuerSettings, ...]:
        names = [each.name for each in issuers]
        if len(set(names)) < len(names):
            raise ValueError("two identity providers have one name: their actors could not be told apart")
        return issuers


class IngestSettings(ServiceSettings):
    """What a service needs to know besides that reads events which others send.

    `ingest_projects` maps an ingest topic to the project that the broker's ACLs hold its producers to, `*` when
    all of them are trusted: only there an unsigned event is taken, and only for that project.
    """

    ingest_projects: dict[str, ProjectScope] = {}

    @field_validator("ingest_projects")
    @classmethod
    def _refuse_what_cannot_hold(cls, projects: dict[str, str]) -> dict[str, str]:
        ingest = sorted(topic.name for topic in TOPICS if topic.kind is Kind.INGEST)
        for name in projects:
            if name not in ingest:
                raise ValueError(f"{name} is no ingest topic; those are {', '.join(ingest)}")
        if projects.get(ENTITY_CHANGES.name, ALL_PROJECTS) != ALL_PROJECTS:
            raise ValueError(f"an entity belongs to a tenant, not to a project: {ENTITY_CHANGES.name} can only be `*`")
        return projects
