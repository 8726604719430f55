"""What an alias may be called, who may move it, and when a move is refused."""

import re
from collections.abc import Collection, Mapping

from modelyard_runtime.access.permissions import Role
from modelyard_runtime.problems import ConflictError, InvalidRequestError, NotFoundError

from modelyard_registry.routes.champion_history import CHAMPION

# A word that names a version in paths already would make `versions/3` and the alias `3` two things.
_NAMES_A_VERSION = re.compile(r"latest|[0-9]+|v?[0-9]+\.[0-9]+\.[0-9]+", re.IGNORECASE)


class AliasNameTakenError(InvalidRequestError):
    """This word names a version in another way."""

    code = "alias-name-taken"
    when = "The alias would be a number, a semantic version or `latest`, which name versions already."
    fix = "Choose a word that is no number, no version and not `latest`."


class AliasNotFoundError(NotFoundError):
    """The registered model has no such alias."""

    code = "alias-not-found"
    when = "The registered model has no alias of this name."
    fix = "List its aliases with GET …/registered-models/{name}/aliases."


class AliasChangedError(ConflictError):
    """The alias points at another version than the caller expects."""

    code = "alias-changed"
    when = "The alias points at another version than `expected` says."
    fix = "Look again, and send the number that it points at now in `expected`, or null when it is not there."


class ChampionAliasError(ConflictError):
    """The alias `champion` moves by promotion and rollback only."""

    code = "champion-alias"
    when = "The request would set or delete the alias `champion` directly."
    fix = "Use POST …/versions/{n}/transitions, POST …/rollback, or POST …/champion where policy is manual."


class AliasProtectedError(ConflictError):
    """A policy lets only some people move this alias."""

    code = "alias-protected"
    status = 403
    when = "Policy protects this alias, and the caller lacks the role that may move it."
    fix = "Ask somebody with the role that policy names to move it."


def without_at(alias: object) -> object:
    """The alias without the `@` that marks one in version paths."""
    return alias.removeprefix("@") if isinstance(alias, str) else alias


def refuse_alias_name(alias: str) -> None:
    """Raise AliasNameTakenError for a word that names a version already."""
    if _NAMES_A_VERSION.fullmatch(alias):
        raise AliasNameTakenError(f"{alias!r} names a version by itself.")


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
        raise ChampionAliasError("The alias champion follows promotions and rollbacks.")
    role = protected.get(alias)
    if role is not None and role not in roles and Role.ADMIN not in roles:
        raise AliasProtectedError(
            f"The alias {alias} is protected.", fix=f"Ask somebody with the role {role} to move it.", role=role
        )
    if is_expected and present != expected:
        now = "nothing" if present is None else f"version {present}"
        raise AliasChangedError(
            f"{alias} points at {now}.",
            number=present,
        )
