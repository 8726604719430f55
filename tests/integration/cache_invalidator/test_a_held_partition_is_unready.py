"""Where changes are not applied, stale predictions are served: the invalidator says so until it goes on."""

import pytest
from modelyard_cache_invalidator.handlers import Handlers
from modelyard_events.entities import EntityChanged
from modelyard_runtime.consume import Batch
from modelyard_runtime.errors import PermanentError
from modelyard_stack import Stack

from tests.integration.cache_invalidator.conftest import running
from tests.world.outsider import an_outsiders_event
from tests.world.waiting import until

pytestmark = pytest.mark.integration


async def test_readyz_is_503_and_names_the_partition_while_one_is_held(
    stack: Stack, redis_url: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def on_entity_changes(_handlers: Handlers, batch: Batch) -> None:
        if batch.deliveries:
            raise PermanentError("our own defect", reason="handler_failed")

    monkeypatch.setattr(Handlers, "on_entity_changes", on_entity_changes)
    async with running(stack, redis_url=redis_url, topic_prefix=topic_prefix) as invalidation:
        for number in range(21):
            change = {"tenant": f"tenant-{number % 3}", "entity_type": "loan", "entity_id": str(number)}
            await invalidation.send(an_outsiders_event(EntityChanged.type, change, subject="one/partition"))

        held = await until(
            lambda: invalidation.http.call("GET", "/readyz"),
            lambda reply: reply.status == 503 and b"held" in reply.body,
            timeout_s=60.0,
        )

    said = [check for check in held.document["checks"] if not check["ok"]]
    assert len(said) == 1
    assert "held: too many dead letters" in said[0]["detail"]
    assert "entity-changes.v1-" in said[0]["detail"]
