"""What an alias may be called, who may move it, and when a move is refused."""

import re
from collections.abc import Collection, Mapping

from modelyard_runtime.permissions import Role
from modelyard_runtime.problems import ConflictError, InvalidRequestError, NotFoundError

from modelyard_registry.routes.champion_history import CHAMPION

# A word that names a version in paths already would make `versions/3` and the alias `3` two things.
_NAMES_A_VERSION = re.compile(r"latest|[0-9]+|v?[0-9]+\.[0-9]+\.[0-9]+", re.IGNORECASE)


class AliasNameTakenError(InvalidRequestError):
    """This word names a version in another way."""


class AliasNotFoundError(NotFoundError):
    """The registered model has no such alias."""


class AliasChangedError(ConflictError):
    """The alias points at another version than the caller expects."""


class ChampionAliasError(ConflictError):
    """The alias `champion` moves by promotion and rollback only."""


class AliasProtectedError(ConflictError):
    """A policy lets only some people move this alias."""

    status = 403


def without_at(alias: object) -> object:
    """The alias without the `@` that marks one in version paths."""
    return alias.removeprefix("@") if isinstance(alias, str) else alias


def refuse_alias_name(alias: str) -> None:
    """Raise AliasNameTakenError for a word that names a version already."""
    if _NAMES_A_VERSION.fullmatch(alias):
        raise AliasNameTakenError(
            f"{alias!r} names a version by itself.", fix="Choose a word that is no number, no version and not `latest`."
        )


def refuse_alias_move(
    alias: str,
    *,
    present: int | None,
    expected: int | None,
    is_expected: bool,
    protected: Mapping[str, Role],
    roles: Collection[Role],
) -> None:
    """Raise unless somebody with `roles` may move `alias` away from `present`.

    `expected` counts only when `is_expected`. Raises ChampionAliasError, AliasProtectedError or AliasChangedError.
    """
    if alias == CHAMPION:
        raise ChampionAliasError(
            "The alias champion follows promotions and rollbacks.",
            fix="Use POST …/versions/{n}/transitions, POST …/rollback, or POST …/champion where policy is manual.",
        )
    role = protected.get(alias)
    if role is not None and role not in roles and Role.ADMIN not in roles:
        raise AliasProtectedError(
            f"The alias {alias} is protected.", fix=f"Ask somebody with the role {role} to move it.", role=role
        )
    if is_expected and present != expected:
        now = "nothing" if present is None else f"version {present}"
        raise AliasChangedError(
            f"{alias} points at {now}.",
            fix="Look again, and send the number that it points at now in `expected`, or null when it is not there.",
            number=present,
        )
