"""Whether a project has models of a type: a setting of a type without models, a kill switch above all, does nothing."""

from collections.abc import Awaitable
from difflib import get_close_matches
from typing import Protocol

from modelyard_runtime.problems import NotFoundError

from modelyard_registry.projects.domain import COMPARED_NAMES_MAX, NEAR_NAMES_MAX
from modelyard_registry.routes import store
from modelyard_registry.transactions.database import Connection


class ModelTypeNotFoundError(NotFoundError):
    """The project has no registered model of this type."""

    code = "model-type-not-found"
    when = "The project has no registered model of this model type."
    fix = "GET /api/v1/projects/{project}/registered-models lists the models with their types."


class TypeCheck(Protocol):
    """Raises ModelTypeNotFoundError for a model type that the project does not know."""

    def __call__(self, connection: Connection, /, *, project: str, model_type: str) -> Awaitable[None]:
        """Look the type up."""


async def refuse_unknown_type(connection: Connection, *, project: str, model_type: str) -> None:
    """Raise ModelTypeNotFoundError, with near types, unless the project has a registered model of this type."""
    if await store.has_model(connection, project=project, model_type=model_type):
        return
    known = await store.model_types_beside(connection, model_type, project=project, limit=COMPARED_NAMES_MAX)
    near = get_close_matches(model_type, known, n=NEAR_NAMES_MAX)
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    raise ModelTypeNotFoundError(
        f"The project {project} has no registered model of type {model_type}.",
        fix=f"{meant}GET /api/v1/projects/{project}/registered-models lists the models with their types.",
        near=near,
    )


async def refuse_unknown_route(connection: Connection, *, project: str, model_type: str) -> None:
    """Raise ModelTypeNotFoundError unless the project routes this type, or has a registered model of it.

    A setting can be taken back although the last model of the type is gone.
    """
    if await store.find_document(connection, project=project, model_type=model_type) is None:
        await refuse_unknown_type(connection, project=project, model_type=model_type)
