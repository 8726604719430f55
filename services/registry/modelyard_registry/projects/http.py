"""Operations on projects: create, list, get."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter
from fastapi.responses import Response
from modelyard_events.values import Slug
from modelyard_runtime.access.permissions import ALL_PROJECTS, Permission
from pydantic import BaseModel, ConfigDict, Field

from modelyard_registry.api import (
    Answer,
    Call,
    Caller,
    Project,
    Request,
    Subject,
    carry_out,
    problems,
    requires,
    requires_everywhere,
    requires_somewhere,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.paging import Page, Paging
from modelyard_registry.projects import store
from modelyard_registry.projects.domain import ProjectRecord
from modelyard_registry.projects.handlers import create_project
from modelyard_registry.projects.known import unknown_project
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

router = APIRouter(prefix="/api/v1/projects", tags=["projects"], route_class=BoundedRoute)


class NewProject(Request):
    """A project to create."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "lending", "description": "Scores of the lending business"}]}
    )

    name: Annotated[Slug, Field(description="What paths, events, tokens and keys call it. It is never changed.")]
    description: Annotated[str, Field(max_length=1_000, description="What it is for, for people.")] | None = None


class ProjectDocument(BaseModel):
    """A project, and how much is in it."""

    name: str = Field(description="What paths, events, tokens and keys call it.")
    description: str | None = Field(description="What it is for; null when nobody has said it.")
    created_at: datetime = Field(description="When it was created.")
    created_by: str = Field(description="Who created it; `registry` for what was there before projects were created.")
    registered_models: int | None = Field(
        description="How many registered models it has, without deleted ones; null when the caller may not know."
    )
    model_versions: int | None = Field(description="How many versions these have; null when the caller may not know.")

    @classmethod
    def of(cls, project: ProjectRecord, *, call: Call) -> Self:
        """The document about `project` for whoever calls: one who reads production only learns no counts."""
        may_count = call.principal.may(Permission.MODELS_READ, project.name)
        return cls(
            name=project.name,
            description=project.description,
            created_at=project.created_at,
            created_by=project.created_by,
            registered_models=project.registered_models if may_count else None,
            model_versions=project.model_versions if may_count else None,
        )


class ProjectPage(Page[ProjectDocument]):
    """Some projects, by name."""


@router.post(
    "",
    status_code=201,
    response_model=ProjectDocument,
    responses=problems(409),
    summary="Create a project",
    dependencies=[requires_everywhere(Permission.ACCESS_MANAGE)],
)
async def post_project(body: NewProject, call: Caller) -> Response:
    """By admins of all projects. Nothing else makes one: a name that is misspelt elsewhere is not found."""

    async def work(tx: Transaction) -> Answer:
        created = await create_project(tx, body.name, description=body.description)
        return Answer(status=201, body=ProjectDocument.of(created, call=call))

    subject = Subject(project=body.name, path=f"projects/{body.name}")
    return await carry_out(call, body, work, action=AuditAction.PROJECT_CREATED, subject=subject)


@router.get(
    "",
    responses=problems(),
    summary="List projects",
    dependencies=[requires_somewhere(Permission.MODELS_READ_PRODUCTION)],
)
async def get_projects(call: Caller, paging: Paging) -> ProjectPage:
    """Those that the caller may read, by name."""
    after = paging.after(str) or ""
    async with call.services.database.reading() as connection:
        found = await store.list_projects(connection, after=after, among=_readable(call), limit=paging.limit)
    return paging.page(
        ProjectPage, found, of=lambda each: ProjectDocument.of(each, call=call), key=lambda each: each.name
    )


@router.get(
    "/{project}",
    responses=problems(404),
    summary="Get a project",
    dependencies=[requires(Permission.MODELS_READ_PRODUCTION)],
)
async def get_project(project: Project, call: Caller) -> ProjectDocument:
    """What it is for, and how much is in it."""
    async with call.services.database.reading() as connection:
        found = await store.find_project(connection, project)
        if found is None:
            raise await unknown_project(connection, project, caller=call.principal)
    return ProjectDocument.of(found, call=call)


def _readable(call: Call) -> list[str] | None:
    """The projects that the caller may read; None for all."""
    principal = call.principal
    if principal.may(Permission.MODELS_READ_PRODUCTION, ALL_PROJECTS):
        return None
    return [name for name in principal.roles if principal.may(Permission.MODELS_READ_PRODUCTION, name)]
