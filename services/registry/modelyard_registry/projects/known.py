"""Whether a project is there: asked with every request that names one, so what was found is remembered."""

from modelyard_runtime.access.permissions import ALL_PROJECTS, Permission
from modelyard_runtime.access.principals import Principal

from modelyard_registry.projects import store
from modelyard_registry.projects.domain import ProjectNotFoundError, is_project_name, project_not_found
from modelyard_registry.transactions.database import Connection, Database

REMEMBERED_MAX = 10_000


class KnownProjects:
    """Remembers the projects that were found. They stay; one that was not found can be created any moment."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._found: set[str] = set()

    async def is_known(self, name: str) -> bool:
        """Whether there is a project of this name."""
        if name in self._found:
            return True
        async with self._database.reading() as connection:
            found = await store.is_there(connection, name)
        if found and len(self._found) < REMEMBERED_MAX:
            self._found.add(name)
        return found

    async def refuse_unless_known(self, name: str, *, caller: Principal) -> None:
        """Raise ProjectNotFoundError, which names near names among those that the caller may read.

        What cannot be a project's name is left to the check of the path.
        """
        if not is_project_name(name) or await self.is_known(name):
            return
        async with self._database.reading() as connection:
            raise await unknown_project(connection, name, caller=caller)


async def refuse_unknown_project(connection: Connection, name: str, *, caller: Principal) -> None:
    """Raise ProjectNotFoundError unless `name` is a project, or `*` for all of them."""
    if name != ALL_PROJECTS and not await store.is_there(connection, name):
        raise await unknown_project(connection, name, caller=caller)


async def unknown_project(connection: Connection, name: str, *, caller: Principal) -> ProjectNotFoundError:
    """The refusal, with near names among those that the caller may read."""
    names = await store.names_beside(connection, name)
    readable = [each for each in names if caller.may(Permission.MODELS_READ_PRODUCTION, each)]
    return project_not_found(name, known=readable)
