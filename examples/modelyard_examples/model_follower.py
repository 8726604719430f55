"""Which versions a model server has in memory: those that the registry may send traffic to, and no others.

The follower asks the registry again and again. A new version joins once it is loaded and proved; one that is
no longer served stays for a grace period, because routers learn a little later than the registry decides;
and while the registry cannot be reached, everything stays as it is.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import aiohttp

from modelyard_examples.loaded_model import LoadedModel, RefusedArtifactError, load_model
from modelyard_examples.registry_client import Document, RegistryClient, RegistryError

SERVED_STAGES = ("staging", "canary", "production")
POLL_INTERVAL_S = 0.25
RETRY_REFUSED_AFTER_S = 5.0

logger = logging.getLogger(__name__)

Key = tuple[str, int]
"""A registered model's name and a version's number."""


@dataclass(slots=True, kw_only=True)
class ModelFollower:
    """Holds the loaded models. `now` is a monotonic clock in seconds.

    `models` is replaced as a whole, never changed: a request keeps the version that it began with.
    """

    registry: RegistryClient
    now: Callable[[], float]
    model_type: str | None = None
    grace_s: float = 30.0
    models: Mapping[Key, LoadedModel] = field(default_factory=dict)
    has_followed: bool = False
    """Whether the registry's versions were all seen at least once: then this server is ready."""
    _unserved_since: dict[Key, float] = field(default_factory=dict)
    _refused_until: dict[Key, float] = field(default_factory=dict)
    _is_cut_off: bool = False

    async def run(self) -> None:
        """Follow the registry until cancelled."""
        while True:
            try:
                await self.follow_once()
            except (RegistryError, aiohttp.ClientError, TimeoutError, KeyError, TypeError) as error:
                self._log_cut_off(error)
            else:
                self._log_reunited()
            await asyncio.sleep(POLL_INTERVAL_S)

    async def follow_once(self) -> None:
        """Compare with the registry once: load what is new, unload what has been out of service for long."""
        served: set[Key] = set()
        async for model in self.registry.list_registered_models(model_type=self.model_type):
            # Stage by stage: of thousands of versions only a few may serve. One that moves on between two
            # questions may be missed this time; the grace period covers that.
            for stage in SERVED_STAGES:
                async for version in self.registry.list_versions(model["name"], stage=stage):
                    key = (str(version["model"]), int(version["number"]))
                    served.add(key)
                    await self._ensure_loaded(key, version=version)
        self._unload_all_but(served)
        self.has_followed = True

    async def _ensure_loaded(self, key: Key, *, version: Document) -> None:
        name, number = key
        if key in self.models or self.now() < self._refused_until.get(key, 0.0):
            return
        try:
            artifact = await self.registry.download_artifact(name, number)
            # Loading a large model takes a while; requests go on meanwhile.
            model = await asyncio.to_thread(
                load_model, artifact, name=name, number=number, digest=str(version["digest"])
            )
        except (RefusedArtifactError, RegistryError, aiohttp.ClientPayloadError) as error:
            # One version that cannot be had must not keep the others from being served.
            self._refused_until[key] = self.now() + RETRY_REFUSED_AFTER_S
            logger.error("model_refused model=%s version=%d reason=%s", name, number, error)
            return
        self._refused_until.pop(key, None)
        self.models = {**self.models, key: model}
        logger.info("model_loaded model=%s version=%d digest=%s", name, number, model.digest)

    def _unload_all_but(self, served: set[Key]) -> None:
        now = self.now()
        self._unserved_since = {key: self._unserved_since.get(key, now) for key in self.models if key not in served}
        expired = {key for key, since in self._unserved_since.items() if now - since >= self.grace_s}
        if expired:
            self.models = {key: model for key, model in self.models.items() if key not in expired}
        for name, number in sorted(expired):
            logger.info("model_unloaded model=%s version=%d", name, number)

    def _log_cut_off(self, error: Exception) -> None:
        if not self._is_cut_off:
            logger.warning(
                "registry_unreachable serving=%d reason=%s: %s", len(self.models), type(error).__name__, error
            )
        self._is_cut_off = True

    def _log_reunited(self) -> None:
        if self._is_cut_off:
            logger.info("registry_reached_again")
        self._is_cut_off = False
