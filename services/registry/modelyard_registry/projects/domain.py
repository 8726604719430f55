"""What a project is, and what is said to somebody who names one that is not there."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from heapq import nlargest

from modelyard_runtime.problems import ConflictError, NotFoundError

NEAR_NAMES_MAX = 3
COMPARED_NAMES_MAX = 500
"""Comparing names takes time: no more are compared to find near ones."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class ProjectNotFoundError(NotFoundError):
    """There is no project of this name."""

    code = "project-not-found"
    when = "A path, a query, a header or a body names a project that does not exist."
    fix = "List projects with GET /api/v1/projects; an admin creates one with POST /api/v1/projects."


class ProjectExistsError(ConflictError):
    """There is a project of this name already."""

    code = "project-exists"
    when = "A project of this name exists."
    fix = "Use it, or choose another name for the new project."


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRecord:
    """A project, and how much is in it; deleted models are not counted."""

    name: str
    description: str | None
    created_at: datetime
    created_by: str
    registered_models: int
    model_versions: int


def is_project_name(text: str) -> bool:
    """Whether a project can be called so."""
    return _NAME.fullmatch(text) is not None


def project_not_found(name: str, *, known: Iterable[str]) -> ProjectNotFoundError:
    """The refusal of a name that no project has, with the names among `known` that are spelled like it."""
    # Names that begin alike come first: among many projects the near ones must be among those that are compared.
    likeliest = nlargest(COMPARED_NAMES_MAX, known, key=lambda each: _letters_in_common(each, name))
    near = get_close_matches(name, likeliest, n=NEAR_NAMES_MAX)
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    return ProjectNotFoundError(
        f"There is no project {name}.",
        fix=f"{meant}List projects with GET /api/v1/projects; an admin creates one with POST /api/v1/projects.",
        near=near,
    )


def project_exists(name: str) -> ProjectExistsError:
    """The refusal of a name that a project has already."""
    return ProjectExistsError(f"There is a project {name} already.")


def _letters_in_common(one: str, other: str) -> int:
    """How many letters two names begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (here, there) in pairs if here != there), min(len(one), len(other)))
