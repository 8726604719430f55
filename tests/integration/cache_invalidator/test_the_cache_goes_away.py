"""While the cache is away no change is skipped: they wait, and all are purged when it is back."""

import pytest
from modelyard_prediction_cache import Entity

from tests.integration.cache_invalidator.conftest import causes, running
from tests.stack_fixtures import OwnStack
from tests.world.waiting import until

pytestmark = pytest.mark.integration


async def test_changes_wait_for_a_cache_that_was_killed(own_stack: OwnStack, topic_prefix: str) -> None:
    stack = await own_stack()
    loans = [Entity(tenant="CA", entity_type="loan", entity_id=str(number)) for number in range(20)]
    async with running(stack, redis_url=stack.addresses.redis_url, topic_prefix=topic_prefix) as invalidation:
        before = [await invalidation.change(loan, version=1) for loan in loans]
        await invalidation.purges(count=len(before))

        await stack.valkey.kill()
        during = [await invalidation.change(loan, version=2) for loan in loans]
        await until(lambda: invalidation.http.call("GET", "/readyz"), lambda reply: reply.status == 503)
        await stack.valkey.start()

        purges = await invalidation.purges(count=len(before) + len(during))
        assert sorted(set(causes(purges))) == sorted({*before, *during})
        assert not any([await invalidation.takes(loan, version=1) for loan in loans])
        await until(lambda: invalidation.http.call("GET", "/readyz"), lambda reply: reply.status == 200)


async def test_changes_from_while_the_service_was_down_are_purged_when_it_is_back(
    own_stack: OwnStack, topic_prefix: str
) -> None:
    stack = await own_stack()
    redis_url = stack.addresses.redis_url
    loan = Entity(tenant="CA", entity_type="loan", entity_id="1")
    async with running(stack, redis_url=redis_url, topic_prefix=topic_prefix) as invalidation:
        first = await invalidation.change(loan, version=1)
        await invalidation.purges(count=1)
        await invalidation.remember(loan)
        await stack.valkey.pause()
        second = await invalidation.change(loan, version=2)
    await stack.valkey.resume()

    async with running(stack, redis_url=redis_url, topic_prefix=topic_prefix) as invalidation:
        purges = await invalidation.purges(count=2)

        assert set(causes(purges)) == {first, second}
        assert not await invalidation.cached(loan)
