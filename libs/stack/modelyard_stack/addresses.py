"""Where the three servers are reached."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from modelyard_stack.errors import StackError

KAFKA_VARIABLE = "MODELYARD_KAFKA_BOOTSTRAP"
POSTGRES_VARIABLE = "MODELYARD_POSTGRES_DSN"
REDIS_VARIABLE = "MODELYARD_REDIS_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """`kafka_bootstrap` is `host:port`, the others are URLs that carry user, password and database."""

    kafka_bootstrap: str
    postgres_dsn: str
    redis_url: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The addresses of servers that somebody else runs; raises `StackError` naming what is not set."""
        missing = [name for name in (KAFKA_VARIABLE, POSTGRES_VARIABLE, REDIS_VARIABLE) if not environment.get(name)]
        if missing:
            raise StackError(f"MODELYARD_STACK=external needs the addresses of your servers: set {', '.join(missing)}.")
        return cls(
            kafka_bootstrap=environment[KAFKA_VARIABLE],
            postgres_dsn=environment[POSTGRES_VARIABLE],
            redis_url=environment[REDIS_VARIABLE],
        )

    def as_environment(self) -> dict[str, str]:
        """The variables by which services learn the addresses."""
        return {
            KAFKA_VARIABLE: self.kafka_bootstrap,
            POSTGRES_VARIABLE: self.postgres_dsn,
            REDIS_VARIABLE: self.redis_url,
        }
