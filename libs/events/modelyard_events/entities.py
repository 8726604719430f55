"""What systems of record say: an entity changed, so predictions about it are stale."""

from typing import Annotated, ClassVar

from pydantic import Field

from modelyard_events.identifiers import ForeignId
from modelyard_events.ingest import IngestEvent
from modelyard_events.limits import CHANGED_FIELDS_MAX, INT64_MAX, NAME_CHARS_MAX
from modelyard_events.values import Slug


class EntityChanged(IngestEvent):
    """An entity of a tenant changed, or was deleted.

    `version` counts the entity's changes in its own system of record and only ever rises; leave it out
    when there is no such counter (a timestamp or a log position is none).
    """

    type: ClassVar[str] = "entity.changed.v1"

    tenant: Slug
    entity_type: Slug
    entity_id: ForeignId
    version: Annotated[int, Field(ge=0, le=INT64_MAX)] | None = None
    changed_fields: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=NAME_CHARS_MAX)], ...],
        Field(max_length=CHANGED_FIELDS_MAX),
    ] = ()
