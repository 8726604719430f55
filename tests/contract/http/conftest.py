"""Each service once, with something of each kind in it."""

from tests.integration.cache_invalidator.conftest import invalidation
from tests.integration.registry.door_fixtures import door, registry_database, served_door
from tests.integration.router.conftest import world

__all__ = ["door", "invalidation", "registry_database", "served_door", "world"]
