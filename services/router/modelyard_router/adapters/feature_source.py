"""Feature sources: read the features of an entity from the system that keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

import orjson
from modelyard_events.routes import FeatureSource
from modelyard_prediction_cache import Entity
from modelyard_runtime.errors import PermanentError
from modelyard_runtime.fetch import Fetched, Fetcher, FetchFailedError, FetchTimeoutError
from modelyard_runtime.state_tail import Seconds
from pydantic import BaseModel, ConfigDict, Field

from modelyard_router.domain.breaker import Breakers
from modelyard_router.problems import (
    EntityUnknownError,
    FeatureSourceFailureError,
    FeatureSourceNonsenseError,
    FeatureSourceTimeoutError,
)

FEATURES_MAX = 5_000
HEADERS = {"accept": "application/json"}


class FeatureDocument(BaseModel):
    """A feature source's answer. `source` names whoever counts `version`, if the purges' source has a name."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Annotated[int, Field(ge=0)] | None = None
    source: Annotated[str, Field(max_length=500)] = ""
    features: Annotated[dict[str, Any], Field(max_length=FEATURES_MAX)]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityFeatures:
    """An entity's features and the version of the entity that they belong to, as `source` counts it."""

    version: int | None
    source: str
    features: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """As the prediction cache keeps them."""
        return orjson.dumps({"version": self.version, "source": self.source, "features": self.features})

    @classmethod
    def from_bytes(cls, body: bytes) -> "EntityFeatures":
        """From a source's answer, or from `to_bytes`. Raises ValueError."""
        document = FeatureDocument.model_validate(orjson.loads(body))
        return cls(version=document.version, source=document.source, features=document.features)


class FeatureSources:
    """The feature sources of all model types, each with a breaker of its own."""

    def __init__(self, fetcher: Fetcher, *, breakers: Breakers, seconds: Seconds) -> None:
        self._fetcher = fetcher
        self._breakers = breakers
        self._seconds = seconds

    async def fetch(self, source: FeatureSource, entity: Entity) -> EntityFeatures:
        """The entity's features now. Raises EntityUnknownError or a FeatureSourceFailureError."""
        key = (source.url_template, source.revision)
        if not self._breakers.permits(key, now_s=self._seconds()):
            raise FeatureSourceFailureError(
                "The feature source failed repeatedly and is not asked at the moment.",
                fix="Try again in a few seconds, or send all inputs with the request.",
            )
        try:
            features = await self._fetch(source, entity)
        except FeatureSourceFailureError:
            self._breakers.failed(key, now_s=self._seconds())
            raise
        except EntityUnknownError:
            self._breakers.succeeded(key)
            raise
        self._breakers.succeeded(key)
        return features

    async def _fetch(self, source: FeatureSource, entity: Entity) -> EntityFeatures:
        url = url_of(source, entity)
        fix = "Check the feature source of this model type, or send all inputs with the request."
        try:
            fetched = await self._fetch_twice(url, timeout_s=source.timeout_s)
        except FetchTimeoutError as error:
            detail = f"The feature source at {url} did not answer within {source.timeout_s:g} s."
            raise FeatureSourceTimeoutError(detail, fix=fix) from error
        except (FetchFailedError, PermanentError) as error:
            raise FeatureSourceFailureError(f"The feature source could not be asked: {error}.", fix=fix) from error
        if fetched.status == 404:
            detail = f"The feature source at {url} knows no {entity.entity_type} {entity.entity_id}."
            raise EntityUnknownError(detail, fix="Correct the entity, or send all inputs with the request.")
        if fetched.status != 200:
            raise FeatureSourceFailureError(f"The feature source at {url} answered {fetched.status}.", fix=fix)
        try:
            return EntityFeatures.from_bytes(fetched.body)
        except ValueError as error:
            detail = f'The feature source at {url} did not answer {{"version": …, "features": {{…}}}}.'
            raise FeatureSourceNonsenseError(detail, fix=fix) from error

    async def _fetch_twice(self, url: str, *, timeout_s: float) -> Fetched:
        """Reading changes nothing, so that a failed connection is tried once more."""
        started_s = self._seconds()
        try:
            return await self._fetcher.fetch("GET", url, timeout_s=timeout_s, headers=HEADERS)
        except FetchFailedError:
            left_s = timeout_s - (self._seconds() - started_s)
            if left_s <= 0:
                raise
            return await self._fetcher.fetch("GET", url, timeout_s=left_s, headers=HEADERS)


def url_of(source: FeatureSource, entity: Entity) -> str:
    """Where the source answers about this entity; each part percent-encoded, so that it stays one part."""
    url = source.url_template
    for name in ("tenant", "entity_type", "entity_id"):
        url = url.replace(f"{{{name}}}", quote(getattr(entity, name), safe=""))
    return url
