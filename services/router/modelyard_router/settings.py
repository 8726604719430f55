"""The router's settings, read once from the environment (`MODELYARD_…`) in `__main__`."""

from pathlib import Path
from typing import Annotated

from modelyard_runtime.state_settings import StateReaderSettings
from pydantic import Field, SecretStr


class Settings(StateReaderSettings):
    """What the router needs besides what every service needs.

    `unit_hash_secret` (64 bytes at most) keys the hashes that stand for units in facts, so that ids cannot be found
    by hashing guesses; all routers need the same one. `cache_timeout_s` bounds each request to the prediction cache.
    After `breaker_failures_max` failures in a row, an endpoint, a feature source or the cache is not asked for
    `breaker_pause_s`. Each router needs its own `state_directory`: there it keeps its name and the number of its last
    fact, so that facts that are lost with a killed router show as a gap in its sequence. Without one, each start is a
    new source. Only one in a hundred answers below 400 gets a line in the access log by default
    (`access_log_sample`), because a router answers thousands of requests a second.
    """

    access_log_sample: Annotated[float, Field(ge=0, le=1)] = 0.01
    port: Annotated[int, Field(ge=0, le=65_535)] = 8081
    redis_url: str = "redis://127.0.0.1:6379/0"
    state_directory: Path | None = None
    cache_timeout_s: Annotated[float, Field(gt=0, le=1)] = 0.05
    unit_hash_secret: SecretStr = SecretStr("")
    body_bytes_max: Annotated[int, Field(gt=0)] = 1024 * 1024
    fact_queue_max: Annotated[int, Field(gt=0)] = 10_000
    breaker_failures_max: Annotated[int, Field(gt=0)] = 5
    breaker_pause_s: Annotated[float, Field(gt=0)] = 2.0
