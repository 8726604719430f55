"""The permissions and roles, as the registry's operations name them; they are the same in every service."""

from modelyard_runtime.permissions import ALL_PROJECTS, ROLES, Permission, Role, permitted_to, roles_that_may

__all__ = ["ALL_PROJECTS", "ROLES", "Permission", "Role", "permitted_to", "roles_that_may"]
