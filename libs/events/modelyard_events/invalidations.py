"""What the cache invalidator says: cached predictions and features of an entity were purged."""

from typing import Annotated, ClassVar

from pydantic import Field

from modelyard_events.event import Event
from modelyard_events.values import Slug


class EntityPurged(Event):
    """All that was cached about an entity was purged; `caused_by` is the id of the change event.

    `actor` is whoever asked for it by hand, by HTTP; it is absent when a system of record said that the entity changed.
    """

    type: ClassVar[str] = "entity.purged.v1"

    tenant: Slug
    entity_type: Slug
    entity_id: str
    version: int | None = None
    purged_entries: Annotated[int, Field(ge=0)]
    caused_by: str
    actor: str | None = None
