"""The shadow worker's settings, read once from the environment (`MODELYARD_…`) in `__main__`."""

from typing import Annotated

from modelyard_runtime.settings import ServiceSettings
from pydantic import Field


class Settings(ServiceSettings):
    """What the shadow worker needs besides what every service needs.

    A request older than `shadow_freshness_s` is not replayed. While more than `shadow_lag_max` records wait, the
    oldest are dropped. `shadow_deadline_s` bounds a replay with all its attempts.
    Answers match when they differ by at most `shadow_tolerance_absolute` plus
    `shadow_tolerance_relative` times the served value.
    """

    port: Annotated[int, Field(ge=0, le=65_535)] = 8082
    shadow_freshness_s: Annotated[float, Field(gt=0)] = 300.0
    shadow_lag_max: Annotated[int, Field(ge=1)] = 100_000
    shadow_replays_per_s_max: Annotated[float, Field(gt=0)] = 1_000.0
    shadow_concurrency_max: Annotated[int, Field(ge=1, le=1_000)] = 16
    shadow_deadline_s: Annotated[float, Field(gt=0, le=300)] = 10.0
    shadow_attempts_max: Annotated[int, Field(ge=1, le=20)] = 3
    shadow_backoff_initial_s: Annotated[float, Field(gt=0)] = 0.1
    shadow_tolerance_relative: Annotated[float, Field(ge=0)] = 0.05
    shadow_tolerance_absolute: Annotated[float, Field(ge=0)] = 1e-6
    consumer_group: str = "shadow-worker"
