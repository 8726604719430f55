"""What the cache promises, whoever keeps it: read with a lease, fill while it stands, purge at any time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from modelyard_events.identifiers import normalised_id

FIELDS_MAX = 64
"""Values of one entity: with `VALUE_BYTES_MAX`, at most 8 MiB that one entity can hold."""

VALUE_BYTES_MAX = 128 * 1024
"""A prediction with the inputs that it was made from; a larger one is computed each time."""

HOLD_OFF_S = 5.0
LEASE_S = 120.0


class CacheUnavailableError(Exception):
    """The cache did not answer in time, or not sensibly. Compute without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """The business object that a prediction is about; the unit of purging."""

    tenant: str
    entity_type: str
    entity_id: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two entities the same: `entity_id` comes from other systems, which spell letters differently."""
        return self.tenant, self.entity_type, normalised_id(self.entity_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to fill an entity's cache until its next purge. Opaque: hand it back as it came.

    `in_hold_off` says that it was given so soon after a purge that inputs read under it may still come
    from a replica that has not seen the change: they must prove their version.
    """

    nonce: str
    in_hold_off: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedFeatures:
    """Features of an entity as they were fetched, and the entity's version then, if the source told one."""

    version: int | None
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the cache knows. Without a `prediction` there is a `lease` to fill one."""

    prediction: bytes | None
    features: CachedFeatures | None
    lease: Lease | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """One entity to purge, with the version that its `source` counted for the change, if it counts."""

    entity: Entity
    version: int | None = None
    source: str = ""


class Cache(Protocol):
    """The prediction cache. Every method raises CacheUnavailableError when the cache cannot be asked.

    The place of the fence: a cache is to be trusted only while invalidation is known to be alive and
    caught up. That proof will be a key with a time to live of 2 s per bucket (`{bucket}` in the key, so
    that it shares the slot with the entities behind it), which the invalidator renews; `read` will then
    answer without prediction, features and lease while the key is missing ("bypass": compute, do not
    fill), and `fill` will refuse. The signatures stay as they are. Until then a stopped invalidator leaves
    old predictions in reach.
    """

    async def read(self, entity: Entity, *, prediction: str, features: str | None = None) -> Reading:
        """The value of field `prediction`, and of field `features` when one is named, in one step.

        A miss of the prediction takes a lease, shared with whoever misses at the same time. Whatever is
        read about the entity to compute the prediction (its features, or the endpoint's own look-up) must be
        read after this call returned; `features` found here count as read now.
        """
        ...

    async def fill(
        self,
        entity: Entity,
        lease: Lease,
        *,
        prediction: str,
        value: bytes,
        entity_version: int | None = None,
        source: str = "",
        features: tuple[str, bytes] | None = None,
        reads_entity: bool = True,
    ) -> bool:
        """Store a prediction, and the features (field, value) that it was made from, if that is safe.

        False means that nothing was stored: the entity was purged since the lease was taken, the cache
        lost the lease, the value is too large, or `entity_version` (as `source` counts it) does not prove
        that the inputs are as new as the last purge. `reads_entity` is false when all inputs came with
        the request: then the hash in the field covers them, and no version is asked for. Features are
        inputs read from the entity, so they cannot come with `reads_entity=False` (ValueError).
        """
        ...

    async def purge(self, entity: Entity, *, version: int | None = None, source: str = "") -> int:
        """Delete all that is cached about `entity` and void its leases; how many entries that were.

        It always deletes, whatever the version: versions only raise the floor that later inputs of the
        same `source` must reach. Repeating or reordering purges is harmless. Costs the same however
        much is cached.
        """
        ...

    async def purge_all(self, purges: Sequence[Purge]) -> list[int]:
        """Purge many, in the given order, in one round trip. When it raises, some may have been purged."""
        ...

    async def ping(self) -> None:
        """Return when the cache answers."""
        ...


def refuse_invalid_fill(*, prediction: str, features: tuple[str, bytes] | None, reads_entity: bool) -> None:
    """Raise ValueError for a fill that no cache may take: a bug of the caller."""
    refuse_reserved(prediction)
    if features is None:
        return
    refuse_reserved(features[0])
    if not reads_entity:
        raise ValueError("features are read from the entity: fill them with reads_entity=True")


def refuse_reserved(field: str) -> None:
    """Raise ValueError unless `field` may name a value of an entity's hash."""
    if not field or field.startswith("#"):
        msg = f"{field!r} cannot name a value: make fields with prediction_field or features_field"
        raise ValueError(msg)
