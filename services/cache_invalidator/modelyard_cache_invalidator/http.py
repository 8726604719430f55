"""The HTTP door for those who have no Kafka producer: what is cached about the entity is purged before the answer."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from modelyard_events.entities import EntityChanged
from modelyard_events.identifiers import ForeignId
from modelyard_events.limits import INT64_MAX
from modelyard_events.values import Slug
from modelyard_runtime.access.permissions import Permission
from modelyard_runtime.access.principals import Authenticates, Principal, authenticated
from modelyard_runtime.errors import PublishUnclearError, TransientError
from modelyard_runtime.problems import UnavailableError, documented
from pydantic import BaseModel, ConfigDict, Field

from modelyard_cache_invalidator.change_body import ChangeRoute
from modelyard_cache_invalidator.handlers import Handlers


class ChangeSubmission(BaseModel):
    """An entity changed, or was deleted. `version` counts its changes in its system of record, if that counts."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"tenant": "acme", "entity_type": "loan", "entity_id": "4711", "version": 12}]},
    )

    tenant: Annotated[Slug, Field(description="Whose entity it is.")]
    entity_type: Annotated[Slug, Field(description="The kind of entity, such as `loan`.")]
    entity_id: Annotated[ForeignId, Field(description="Which entity changed.")]
    version: Annotated[
        int | None,
        Field(
            ge=0,
            le=INT64_MAX,
            strict=True,
            description="The entity's version in its system of record, if that counts changes.",
        ),
    ] = None


class ChangeAccepted(BaseModel):
    """The purge is done; `cache-invalidations` tells its purge as `caused_by` this event id."""

    event_id: str = Field(description="Names the change; the purge tells it as `caused_by`.")


def changes(authentication: Authenticates) -> APIRouter:
    """The routes; the application's state has the handlers as `handlers` when requests come in."""
    known = authenticated(authentication, permission=Permission.ENTITIES_CHANGE)
    router = APIRouter(
        prefix="/v1",
        tags=["entity changes"],
        route_class=ChangeRoute,
        responses=documented(
            {
                400: "The body is not UTF-8",
                401: "The request does not say who sent it",
                403: "The caller may not say that entities change",
                413: "The body is larger than any change",
                415: "The body is not sent as JSON",
                422: "The change is malformed",
                503: "The cache or Kafka did not answer in time",
            }
        ),
    )

    @router.post("/entity-changes", status_code=202, summary="Purge what is cached about an entity")
    async def submit_change(
        submission: ChangeSubmission,
        request: Request,
        principal: Annotated[Principal, Depends(known)],
        x_request_id: Annotated[
            str | None, Header(pattern=r"^[!-~]{1,200}$", description="Names the request in the audit log.")
        ] = None,
    ) -> ChangeAccepted:
        handlers: Handlers = request.app.state.handlers
        change = EntityChanged(**submission.model_dump())
        try:
            envelope = await handlers.submit(change, actor=principal.actor, request_id=x_request_id)
        except (TransientError, PublishUnclearError) as error:
            raise UnavailableError(
                f"The cache or Kafka did not confirm the purge of {change.entity_type} {change.entity_id}.",
                fix="Send it again: a change that arrives twice is harmless.",
            ) from error
        return ChangeAccepted(event_id=envelope.id)

    return router
