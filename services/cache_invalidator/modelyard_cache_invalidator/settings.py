"""The cache invalidator's settings, read once from the environment (`MODELYARD_…`) in `__main__`."""

from pathlib import Path
from typing import Annotated

from modelyard_runtime.settings import IngestSettings
from modelyard_runtime.state_settings import StateReaderSettings
from pydantic import Field


class Settings(IngestSettings, StateReaderSettings):
    """What the cache invalidator needs besides what every service needs.

    `redis_url` and `cache_prefix` name the cache as the router does. `cache_hold_off_s` is how far a replica
    may lag that the router's feature sources read from. `version_sources` maps an entity type to the
    CloudEvents source whose versions its feature source answers with: versions that others send about
    the type then count apart. An entity type without an entry has a single counter, by contract. In
    `state_directory`, one for each process, it remembers how many refusals it has counted, so that those that are lost
    with a killed process show as a gap; without one, each start is a new source.
    """

    port: Annotated[int, Field(ge=0, le=65_535)] = 8083
    redis_url: str = "redis://127.0.0.1:6379/0"
    cache_prefix: str = ""
    state_directory: Path | None = None
    cache_timeout_s: Annotated[float, Field(gt=0)] = 5.0
    cache_hold_off_s: Annotated[float, Field(ge=0.001)] = 5.0
    version_sources: dict[str, str] = Field(default_factory=dict)
    purges_per_batch_max: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    consumer_group: str = "cache-invalidator"
