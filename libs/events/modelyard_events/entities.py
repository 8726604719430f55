"""What systems of record say: an entity changed, so predictions about it are stale."""

from typing import Annotated, ClassVar

from pydantic import Field

from modelyard_events.event import Event
from modelyard_events.values import Slug


class EntityChanged(Event):
    """An entity of a tenant changed, or was deleted.

    `version` counts the entity's changes in its own system of record and only ever rises; leave it out
    when there is no such counter (a timestamp or a log position is none).
    """

    type: ClassVar[str] = "entity.changed.v1"

    tenant: Slug
    entity_type: Slug
    entity_id: Annotated[str, Field(min_length=1, max_length=200)]
    version: Annotated[int, Field(ge=0)] | None = None
    changed_fields: tuple[str, ...] = ()
