"""Known callers whom the router refuses are told of, a flood in few facts that add up, without making anyone wait."""

from collections import Counter
from pathlib import Path

import pytest
from modelyard_events.refusals import AccessRefused
from modelyard_events.topics import ACCESS_REFUSALS
from modelyard_runtime.access.permissions import Role
from pydantic import SecretStr

from tests.integration.router.world import World
from tests.world.published import Published
from tests.world.topics import Topics

pytestmark = pytest.mark.integration

FLOOD = 50
PEOPLE = {"vic": SecretStr("a-token-of-vic"), "ann": SecretStr("a-token-of-ann")}
ROLES = {actor: {"default": frozenset({Role.APPROVER})} for actor in PEOPLE}


async def refusals(world: World) -> list[Published]:
    """What the router has said about refusals."""
    return await Topics(bootstrap=world.topics.bootstrap, prefix=world.topics.prefix).published(ACCESS_REFUSALS)


async def test_a_flood_of_refusals_is_few_facts_that_add_up(world: World) -> None:
    async with world.router(tokens=PEOPLE, token_roles=ROLES) as router:
        for number in range(FLOOD):
            question = {"model_type": "risk-scoring", "project": f"made-up-{number}"}
            status, _ = await router.post("/v1/route", question, token="a-token-of-vic")
            assert status == 403
        status, _ = await router.get("/v1/routes", token="a-token-of-ann")
        unknown, _ = await router.post("/v1/route", {"model_type": "risk-scoring"}, token="nobody's")

    facts = await refusals(world)
    counts: Counter[tuple[str, str]] = Counter()
    for fact in facts:
        assert isinstance(fact.event, AccessRefused)
        counts[fact.event.actor, fact.event.permission] += fact.event.count
    assert (status, unknown) == (200, 401)
    assert counts == {("vic", "predictions:make"): FLOOD}
    assert len(facts) <= 2 + 1, "one more if the minute ended meanwhile"
    assert [fact.sequence for fact in facts] == list(range(1, len(facts) + 1))


async def test_refusals_neither_take_nor_leave_a_gap_among_inferences(world: World, tmp_path: Path) -> None:
    changes = {"tokens": PEOPLE, "token_roles": ROLES, "state_directory": tmp_path}
    for _ in range(2):
        async with world.router(**changes) as router:
            await router.post("/v1/route", {"model_type": "x"}, token="a-token-of-vic")

    facts = await refusals(world)

    assert [fact.sequence for fact in facts] == [1, 2]
    assert len({fact.envelope.source for fact in facts}) == 1, "the same source after a restart"
