"""What changes of registered models and versions are about: their place on record, and what `If-Match` asks."""

from modelyard_runtime.problems import NotFoundError

from modelyard_registry.api import Subject
from modelyard_registry.api.preconditions import ReadRevision
from modelyard_registry.models import changes_store
from modelyard_registry.models.domain import Reference
from modelyard_registry.models.store import get_model, get_version
from modelyard_registry.transactions import Transaction


def subject_of_model(project: str, name: str, *, below: str = "") -> Subject:
    """A registered model, deleted or not, or what lies below it: `below` is such as `/aliases/champion`."""

    async def revision(tx: Transaction) -> int:
        locked = await changes_store.lock_revision(tx.connection, project=project, name=name)
        return locked or (await get_model(tx.connection, project=project, name=name)).revision

    return Subject(project=project, path=f"registered-models/{name}{below}", revision=revision)


def subject_of_version(project: str, name: str, reference: Reference, *, below: str = "") -> Subject:
    """A version, or what lies below it. A refusal always names its number, however the caller named it."""

    async def find(tx: Transaction) -> str:
        try:
            version = await get_version(tx.connection, project=project, model=name, reference=reference)
        except NotFoundError:
            return f"registered-models/{name}/versions{below}"
        return f"{version.subject}{below}"

    return Subject(project=project, path=find, revision=revision_of_version(project, name, reference))


def revision_of_version(project: str, name: str, reference: Reference) -> ReadRevision:
    """How to read the revision of a version, under its model's lock."""

    async def read(tx: Transaction) -> int:
        await changes_store.lock_revision(tx.connection, project=project, name=name)
        return (await get_version(tx.connection, project=project, model=name, reference=reference)).revision

    return read
