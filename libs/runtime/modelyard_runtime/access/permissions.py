"""What may be done, and which role may do it: the roles are data, every service reads the same.

A role is granted in one project, or in all of them (`*`). Nothing is permitted that no role grants.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

ALL_PROJECTS = "*"


class Permission(StrEnum):
    """One kind of thing that a caller may do. Every operation declares the one that it needs."""

    MODELS_READ = "models:read"
    MODELS_READ_PRODUCTION = "models:read-production"
    MODELS_WRITE = "models:write"
    MODELS_DELETE = "models:delete"
    VERSIONS_REGISTER = "versions:register"
    VERSIONS_WRITE = "versions:write"
    VERSIONS_REQUEST_TRANSITION = "versions:request-transition"
    VERSIONS_TRANSITION = "versions:transition"
    VERSIONS_APPROVE = "versions:approve"
    VERSIONS_CHECK = "versions:check"
    ARTIFACTS_READ = "artifacts:read"
    ARTIFACTS_READ_PRODUCTION = "artifacts:read-production"
    ARTIFACTS_WRITE = "artifacts:write"
    DEPLOYMENTS_WRITE = "deployments:write"
    ROUTES_WRITE = "routes:write"
    EXPERIMENTS_WRITE = "experiments:write"
    POLICIES_WRITE = "policies:write"
    AUDIT_READ = "audit:read"
    ACCESS_MANAGE = "access:manage"
    PREDICTIONS_MAKE = "predictions:make"
    ENTITIES_CHANGE = "entities:change"


IMPLIED: Mapping[Permission, Permission] = {
    Permission.MODELS_READ: Permission.MODELS_READ_PRODUCTION,
    Permission.ARTIFACTS_READ: Permission.ARTIFACTS_READ_PRODUCTION,
    Permission.VERSIONS_TRANSITION: Permission.VERSIONS_REQUEST_TRANSITION,
}
"""What a permission brings along: whoever may read everything may read what is in production, and whoever
may move versions may ask others to agree to a move."""


def with_implied(permissions: Iterable[Permission]) -> frozenset[Permission]:
    """These permissions, and what they bring along."""
    given = frozenset(permissions)
    return given | {IMPLIED[each] for each in given & IMPLIED.keys()}


class Role(StrEnum):
    """What people and machines are, for the question of what they may do."""

    ADMIN = "admin"
    DATA_SCIENTIST = "data_scientist"
    DEVELOPER = "developer"
    VIEWER = "viewer"
    APPROVER = "approver"
    AUDITOR = "auditor"
    TRAINING_JOB = "training_job"
    CHECKER = "checker"
    GATEWAY = "gateway"
    MODEL_SERVER = "model_server"
    ROUTER = "router"
    WORKER = "worker"
    SYSTEM_OF_RECORD = "system_of_record"


_GRANTED: Mapping[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.DATA_SCIENTIST: frozenset(
        {
            Permission.MODELS_READ,
            Permission.MODELS_WRITE,
            Permission.VERSIONS_REGISTER,
            Permission.VERSIONS_WRITE,
            Permission.VERSIONS_REQUEST_TRANSITION,
            Permission.ARTIFACTS_READ,
            Permission.ARTIFACTS_WRITE,
        }
    ),
    Role.DEVELOPER: frozenset(
        {Permission.MODELS_READ_PRODUCTION, Permission.ARTIFACTS_READ_PRODUCTION, Permission.PREDICTIONS_MAKE}
    ),
    Role.VIEWER: frozenset({Permission.MODELS_READ}),
    Role.APPROVER: frozenset(
        {
            Permission.MODELS_READ,
            Permission.ARTIFACTS_READ,
            Permission.VERSIONS_APPROVE,
            Permission.VERSIONS_CHECK,
            Permission.AUDIT_READ,
        }
    ),
    Role.CHECKER: frozenset({Permission.MODELS_READ, Permission.ARTIFACTS_READ, Permission.VERSIONS_CHECK}),
    Role.AUDITOR: frozenset({Permission.MODELS_READ, Permission.AUDIT_READ}),
    Role.TRAINING_JOB: frozenset(
        {
            Permission.MODELS_READ,
            Permission.VERSIONS_REGISTER,
            Permission.ARTIFACTS_READ,
            Permission.ARTIFACTS_WRITE,
        }
    ),
    Role.GATEWAY: frozenset({Permission.PREDICTIONS_MAKE}),
    Role.MODEL_SERVER: frozenset({Permission.MODELS_READ, Permission.ARTIFACTS_READ, Permission.DEPLOYMENTS_WRITE}),
    Role.ROUTER: frozenset({Permission.MODELS_READ}),
    Role.WORKER: frozenset({Permission.MODELS_READ, Permission.ARTIFACTS_READ}),
    Role.SYSTEM_OF_RECORD: frozenset({Permission.ENTITIES_CHANGE}),
}

ROLES: Mapping[Role, frozenset[Permission]] = {role: with_implied(granted) for role, granted in _GRANTED.items()}
"""What each role may do in the projects in which it is granted."""


def permitted_to(roles: Iterable[Role]) -> frozenset[Permission]:
    """Everything that somebody with these roles may do."""
    return frozenset[Permission]().union(*(ROLES[role] for role in roles))


def roles_that_may(permission: Permission) -> list[Role]:
    """The roles that grant a permission, the smallest first: whom to ask to become."""
    return sorted((role for role in Role if permission in ROLES[role]), key=lambda role: (len(ROLES[role]), role))
