"""Reads the features of an entity from the feature source of its model type."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson
from modelyard_events.routes import FeatureSource
from modelyard_events.shown import shown
from modelyard_prediction_cache import Entity
from modelyard_runtime.errors import PermanentError
from modelyard_runtime.fetch import (
    Fetched,
    Fetcher,
    FetchFailedError,
    FetchRefusedError,
    FetchTimeoutError,
    FetchUnreachableError,
)
from modelyard_runtime.http.request_ids import outgoing_headers
from modelyard_runtime.problems import ProblemError
from modelyard_runtime.shares import ShareUsedUpError
from modelyard_runtime.state.tail import Seconds

from modelyard_router.domain.breaker import Breakers
from modelyard_router.domain.json_body import json_in
from modelyard_router.problems import (
    EntityRefusedError,
    EntityUnknownError,
    FeatureSourceFailureError,
    FeatureSourceInvalidResponseError,
    FeatureSourcePausedError,
    FeatureSourceTimeoutError,
    FeatureSourceUnreachableError,
    FeatureSourceUnusableError,
    used_up,
)

FEATURES_MAX = 5_000
SOURCE_CHARACTERS_MAX = 500
ANSWER_BYTES_MAX = 1024 * 1024
HEADERS = {"accept": "application/json"}
UNKNOWN = frozenset({404, 410})
REFUSED_ENTITY = frozenset({400, 409, 414, 422})
FAILED = frozenset({408, 425, 429})
"""Temporary 4xx, counted as failures like every 5xx. Other 4xx mean that the recorded source is wrong."""

FIX = "Check the feature source of this model type, or send all inputs with the request."


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityFeatures:
    """An entity's features and the version of the entity that they belong to, as `source` counts it."""

    version: int | None
    source: str
    features: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """Return the form in which the prediction cache keeps them."""
        return orjson.dumps({"version": self.version, "source": self.source, "features": self.features})

    @classmethod
    def from_bytes(cls, body: bytes) -> "EntityFeatures":
        """Read a source's answer, or what `to_bytes` returned. Raises ValueError with what is wrong."""
        document = json_in(body)
        if not isinstance(document, dict):
            raise ValueError(f"it is {shown(document)}")
        version, source, features = (document.get(member) for member in ("version", "source", "features"))
        if version is not None and not (type(version) is int and version >= 0):
            raise ValueError(f"`version` is {shown(version)}, not a whole number from 0 or null")
        if source is not None and not (isinstance(source, str) and len(source) <= SOURCE_CHARACTERS_MAX):
            raise ValueError(f"`source` is {shown(source)}, not a string of at most {SOURCE_CHARACTERS_MAX} characters")
        if not isinstance(features, dict) or len(features) > FEATURES_MAX:
            what = shown(features) if "features" in document else "not there"
            raise ValueError(f"`features` is {what}, not an object of at most {FEATURES_MAX} features")
        return cls(version=version, source=source or "", features=features)


class FeatureSources:
    """Asks the feature sources of all model types. Each has its own circuit breaker."""

    def __init__(self, fetcher: Fetcher, *, breakers: Breakers, seconds: Seconds) -> None:
        self._fetcher = fetcher
        self._breakers = breakers
        self._seconds = seconds

    async def fetch(self, source: FeatureSource, entity: Entity, *, project: str) -> EntityFeatures:
        """Return the entity's features as they are now.

        Raises EntityUnknownError or EntityRefusedError when the caller must act, TooManyRequestsError, else a
        FeatureSourceFailureError.
        """
        key, share = (source.url_template, source.revision), (project, entity.tenant)
        if not self._breakers.permits(key, share=share, now_s=self._seconds()):
            raise FeatureSourcePausedError("The feature source failed repeatedly and is not asked at the moment.")
        try:
            features = await self._fetch(source, entity, owner=project)
        except FeatureSourceFailureError as failure:
            self._breakers.failed(key, share=share, blame=failure.blame, now_s=self._seconds())
            raise
        except (EntityUnknownError, EntityRefusedError):
            self._breakers.succeeded(key, share=share)
            raise
        self._breakers.succeeded(key, share=share)
        return features

    async def _fetch(self, source: FeatureSource, entity: Entity, *, owner: str) -> EntityFeatures:
        url = url_of(source, entity)
        try:
            fetched = await self._fetch_twice(url, timeout_s=source.timeout_s, owner=owner)
        except ShareUsedUpError as error:
            raise used_up("feature_source", owner) from error
        except FetchTimeoutError as error:
            detail = f"The feature source at {url} did not answer within {source.timeout_s:g} s."
            raise FeatureSourceTimeoutError(detail, fix=FIX) from error
        except FetchUnreachableError as error:
            raise FeatureSourceUnreachableError(f"The feature source could not be asked: {error}.", fix=FIX) from error
        except FetchRefusedError as error:
            raise FeatureSourceUnusableError(f"The feature source could not be asked: {error}.", fix=FIX) from error
        except (FetchFailedError, PermanentError) as error:
            raise FeatureSourceFailureError(f"The feature source failed: {error}.", fix=FIX) from error
        if fetched.status != 200:
            raise _refusal(url, entity, fetched.status)
        try:
            return EntityFeatures.from_bytes(fetched.body)
        except ValueError as error:
            detail = f'The feature source at {url} did not answer {{"version": …, "features": {{…}}}}: {error}.'
            raise FeatureSourceInvalidResponseError(detail, fix=FIX) from error

    async def _fetch_twice(self, url: str, *, timeout_s: float, owner: str) -> Fetched:
        """Ask; once more when the connection failed, which is safe because reading changes nothing."""
        started_s = self._seconds()
        try:
            return await self._fetch_once(url, timeout_s=timeout_s, owner=owner)
        except FetchFailedError:
            left_s = timeout_s - (self._seconds() - started_s)
            if left_s <= 0:
                raise
            return await self._fetch_once(url, timeout_s=left_s, owner=owner)

    async def _fetch_once(self, url: str, *, timeout_s: float, owner: str) -> Fetched:
        headers = {**HEADERS, **outgoing_headers()}
        return await self._fetcher.fetch(
            "GET", url, timeout_s=timeout_s, headers=headers, bytes_max=ANSWER_BYTES_MAX, owner=owner
        )


def _refusal(url: str, entity: Entity, status: int) -> ProblemError:
    fix = "Correct the entity, or send all inputs with the request."
    if status in UNKNOWN:
        detail = f"The feature source at {url} knows no {entity.entity_type} {entity.entity_id}."
        return EntityUnknownError(detail, fix=fix)
    if status in REFUSED_ENTITY:
        detail = f"The feature source at {url} refused {entity.entity_type} {entity.entity_id} with {status}."
        return EntityRefusedError(detail, fix=fix)
    kind = FeatureSourceFailureError if status >= 500 or status in FAILED else FeatureSourceUnusableError
    return kind(f"The feature source at {url} answered {status}.", fix=FIX)


def url_of(source: FeatureSource, entity: Entity) -> str:
    """Return the address for this entity. Each part is percent-encoded, so that it stays one part of the path."""
    url = source.url_template
    for name in ("tenant", "entity_type", "entity_id"):
        url = url.replace(f"{{{name}}}", quote(getattr(entity, name), safe=""))
    return url
