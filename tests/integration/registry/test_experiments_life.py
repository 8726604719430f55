"""Experiments from start to stop, over HTTP and on the topics."""

from typing import Any

import pytest
from modelyard_events.registry import ExperimentStarted, ExperimentStopped
from modelyard_events.topics import MODEL_VERSIONS

from tests.integration.registry.registry_world import MODEL_TYPE, RegistryWorld
from tests.integration.registry.relay_world import until
from tests.world.http_client import Reply
from tests.world.registry import an_evidence

pytestmark = pytest.mark.integration


async def test_an_experiment_pins_what_serves_now_and_is_told_to_router_and_followers(
    registry_world: RegistryWorld,
) -> None:
    champion, candidate = await _champion_and_candidate(registry_world)

    started = (await _start(registry_world, "exp-1", treatment=candidate)).expect(201)
    later = await registry_world.a_version("everyone")

    assert [(each["name"], each["number"], each["share_bp"]) for each in started["variants"]] == [
        ("control", champion, 9_000),
        ("treatment", candidate, 1_000),
    ]
    assert "salt" not in started
    route = await registry_world.route()
    (running,) = route["experiments"]
    assert running["variants"] == started["variants"]
    assert len(running["salt"]) == 32
    # The control stays pinned and routable, although another version is champion now.
    assert {each["number"] for each in route["versions"]} >= {champion, candidate, later}
    assert route["champions"][0]["number"] == later


async def test_a_stopped_experiment_leaves_the_route_and_says_why(registry_world: RegistryWorld) -> None:
    _, candidate = await _champion_and_candidate(registry_world)
    await _start(registry_world, "exp-1", treatment=candidate)

    stopped = (await registry_world.registry.stop_experiment("exp-1")).expect(200)
    again = await registry_world.registry.stop_experiment("exp-1")

    assert (stopped["state"], stopped["stop_reason"]) == ("concluded", "a test says so")
    assert again.status == 409
    assert (await registry_world.route())["experiments"] == []

    async def are_told() -> bool:
        facts = [
            (type(each.event), each.envelope.subject, each.event.experiment_id)
            for each in await registry_world.read(MODEL_VERSIONS)
            if isinstance(each.event, ExperimentStarted | ExperimentStopped)
            and each.event.project == registry_world.project
        ]
        subject = f"{registry_world.project}/everyone"
        return facts == [
            (ExperimentStarted, subject, stopped["id"]),
            (ExperimentStopped, subject, stopped["id"]),
        ]

    await until(are_told)


async def test_every_fact_of_a_model_has_the_next_sequence(registry_world: RegistryWorld) -> None:
    _, candidate = await _champion_and_candidate(registry_world)
    await _start(registry_world, "exp-1", treatment=candidate)
    await registry_world.registry.stop_experiment("exp-1")
    count = await registry_world.fetch_value(
        f"SELECT last_sequence FROM registered_models WHERE project = '{registry_world.project}'"
    )

    async def sequences() -> list[int | None]:
        return [
            each.envelope.sequence
            for each in await registry_world.read(MODEL_VERSIONS)
            if each.envelope.subject == f"{registry_world.project}/everyone"
        ]

    async def are_all_there() -> bool:
        return await sequences() == list(range(1, count + 1))

    await until(are_all_there)


async def test_an_experiment_that_touches_callers_of_a_running_one_is_refused(
    registry_world: RegistryWorld,
) -> None:
    _, candidate = await _champion_and_candidate(registry_world)
    (await _start(registry_world, "exp-1", treatment=candidate, tenants=["CA", "NY"])).expect(201)

    overlapping = await _start(registry_world, "exp-2", treatment=candidate, industries=["cars"])
    beside = await _start(registry_world, "exp-3", treatment=candidate, tenants=["TX"])
    same_key = await _start(registry_world, "exp-1", treatment=candidate, tenants=["WA"])

    assert overlapping.status == 409
    assert overlapping.document["experiment"] == "exp-1"
    assert beside.status == 201
    assert same_key.status == 409


@pytest.mark.parametrize("reason", ["stage", "itself", "missing", "no_control"])
async def test_a_treatment_that_cannot_be_compared_is_refused_and_nothing_starts(
    registry_world: RegistryWorld, reason: str
) -> None:
    await registry_world.a_model("everyone")
    if reason != "no_control":
        champion = await registry_world.a_version("everyone")
    match reason:
        case "stage":
            treatment = await registry_world.a_version("everyone", to_stage="staging")
        case "itself":
            treatment = champion
        case "missing":
            treatment = 99
        case _:
            treatment = await registry_world.a_version("everyone", to_stage="canary")

    reply = await _start(registry_world, "exp-1", treatment=treatment)

    assert reply.status == (404 if reason == "missing" else 409), reply
    assert reply.is_problem
    assert (await registry_world.registry.call("GET", "/experiments/exp-1")).status == 404


async def test_callers_whom_different_champions_serve_cannot_share_a_control(registry_world: RegistryWorld) -> None:
    champion, candidate = await _champion_and_candidate(registry_world)
    await registry_world.a_model("cars", scope="industry", industry="cars")
    evidence = an_evidence(rmse=2.0, training_examples=5_000, parent=("everyone", champion))
    await registry_world.a_version("cars", evidence=evidence)

    mixed = await _start(registry_world, "exp-1", treatment=candidate, industries=["cars", "boats"])
    own = (await _start(registry_world, "exp-2", treatment=candidate, industries=["cars"])).expect(201)

    assert mixed.status == 409
    assert own["variants"][0]["model"] == "cars"


async def test_experiments_are_listed_page_by_page_and_by_state(registry_world: RegistryWorld) -> None:
    _, candidate = await _champion_and_candidate(registry_world)
    for tenant in ("a", "b", "c"):
        (await _start(registry_world, f"exp-{tenant}", treatment=candidate, tenants=[tenant])).expect(201)
    await registry_world.registry.stop_experiment("exp-b")

    page = (await registry_world.registry.call("GET", "/experiments", query={"page_size": "2"})).expect(200)
    running = await registry_world.registry.items("/experiments", state="running")

    assert [each["key"] for each in page["items"]] == ["exp-a", "exp-b"]
    assert page["next_page_token"]
    assert [each["key"] for each in running] == ["exp-a", "exp-c"]


async def _champion_and_candidate(world: RegistryWorld) -> tuple[int, int]:
    await world.a_model("everyone")
    champion = await world.a_version("everyone")
    return champion, await world.a_version("everyone", to_stage="canary")


async def _start(world: RegistryWorld, key: str, *, treatment: int, **scope: Any) -> Reply:
    document = {
        "key": key,
        "model_type": MODEL_TYPE,
        "treatment": {"model": "everyone", "number": treatment, "share_bp": 1_000},
        **scope,
    }
    return await world.registry.call("POST", "/experiments", document)
