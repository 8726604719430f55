"""The main job, end to end on real processes: publish, promote, route, roll back, and the record of it all."""

import pytest
from modelyard_events.registry import AuditEntryRecorded
from modelyard_events.topics import AUDIT_LOG, MODEL_VERSIONS, ROUTES, TRAINING_RUNS
from modelyard_events.training import TrainingRunCompleted

from tests.world.checks import broken_audit_log, broken_sequences
from tests.world.lending import (
    BETTER_RMSE,
    ENOUGH_EXAMPLES,
    GLOBAL_MODEL,
    INDUSTRY,
    INDUSTRY_MODEL,
    MODEL_TYPE,
    Lending,
    industry_scope,
)
from tests.world.outsider import an_outsiders_event
from tests.world.registry import Document, an_evidence
from tests.world.waiting import until
from tests.world.world import World

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

TOO_FEW_EXAMPLES = 2_249


async def versions_of(lending: Lending, model: str) -> list[Document]:
    return await lending.registry.items(f"/registered-models/{model}/versions")


async def publish_by_event(lending: Lending, model: str, *, run_id: str, times: int = 1) -> None:
    """What a training job does that only knows Kafka, and the artifact's address."""
    digest = await lending.registry.upload(lending.artifact(model, run_id))
    data = {
        "project": lending.project,
        "model": model,
        "run_id": run_id,
        "digest": digest,
        "evidence": an_evidence(rmse=BETTER_RMSE, training_examples=ENOUGH_EXAMPLES, parent=(GLOBAL_MODEL, 1)),
    }
    record = an_outsiders_event(TrainingRunCompleted.type, data, subject=f"{lending.project}/{model}")
    for _ in range(times):
        await lending.world.send(TRAINING_RUNS, record)


async def test_models_are_published_promoted_and_served_where_they_are_worth_it(world: World, project: str) -> None:
    """A training job publishes over HTTP, another through Kafka; what serves a caller follows from evidence."""
    lending = Lending.in_project(world, project)
    await lending.create_models()
    first = await lending.release_global("v1")

    await publish_by_event(lending, INDUSTRY_MODEL, run_id="nightly-1")
    (version,) = await until(lambda: versions_of(lending, INDUSTRY_MODEL), lambda seen: len(seen) == 1)
    assert version["improvement"] == pytest.approx(0.2), "4.0 against the parent's 5.0, where lower is better"

    refusal = await lending.registry.move(INDUSTRY_MODEL, 1, "production")
    assert refusal.status == 409
    assert refusal.is_problem
    assert {move["to_stage"] for move in refusal.document["possible"]} == {"staging", "archived"}

    (await lending.registry.move(INDUSTRY_MODEL, 1, "staging")).expect(200, 201)
    refusal = await lending.registry.move(INDUSTRY_MODEL, 1, "production")
    assert refusal.status == 409
    assert "deployment" in refusal.document["fix"], "it says what is missing"

    url = world.models.endpoint_of(INDUSTRY_MODEL, 1)
    (await lending.registry.deploy(INDUSTRY_MODEL, 1, url=url)).expect(200, 201)
    (await lending.registry.move(INDUSTRY_MODEL, 1, "production")).expect(200, 201)
    await lending.read_features()
    await lending.settle()

    own = await lending.predict("loan-1", industry=INDUSTRY)
    other = await lending.predict("loan-1", industry="credit_card")
    assert (own.answered_by, own.reason) == (f"{INDUSTRY_MODEL}/1", "industry_champion")
    assert (other.answered_by, other.reason) == (f"{GLOBAL_MODEL}/{first}", "global_champion")
    routed = (await lending.router.route(**lending.attributes("loan-1"))).expect(200)
    assert url in str(routed), "a gateway learns where to ask"


async def test_an_industry_model_trained_on_too_little_does_not_serve(lending: Lending) -> None:
    """2,249 examples are better than the global model on paper, and not enough to be trusted."""
    name = "risk-card"
    (await lending.registry.create_model(name, model_type=MODEL_TYPE, **industry_scope("credit_card"))).expect(201)
    await lending.registry.release(
        name,
        models=lending.world.models,
        artifact=lending.artifact(name, "v1"),
        run_id="v1",
        evidence=an_evidence(rmse=BETTER_RMSE, training_examples=TOO_FEW_EXAMPLES, parent=(GLOBAL_MODEL, 1)),
    )
    await lending.settle()

    answer = await lending.predict("loan-1", industry="credit_card")

    assert (answer.answered_by, answer.reason) == (f"{GLOBAL_MODEL}/1", "global_champion")


async def test_a_training_event_that_comes_three_times_registers_one_version(lending: Lending) -> None:
    before = await versions_of(lending, INDUSTRY_MODEL)

    await publish_by_event(lending, INDUSTRY_MODEL, run_id="thrice", times=3)
    await publish_by_event(lending, INDUSTRY_MODEL, run_id="afterwards")

    registered = await until(
        lambda: versions_of(lending, INDUSTRY_MODEL),
        lambda seen: any(version["run_id"] == "afterwards" for version in seen),
    )
    runs = [version["run_id"] for version in registered[: len(registered) - len(before)]]
    assert runs == ["afterwards", "thrice"], "newest first, each run once"


async def test_a_rollback_serves_the_previous_champion_and_stops_its_experiment(lending: Lending) -> None:
    second = await lending.release_industry("v2")
    challenger = await lending.release_industry("v3", to_stage="canary")
    key = f"spring-{lending.project}"
    (
        await lending.registry.start_experiment(
            key, model_type=MODEL_TYPE, treatment=(INDUSTRY_MODEL, challenger), industries=[INDUSTRY]
        )
    ).expect(201)
    await lending.settle()
    assert (await lending.predict("loan-1")).reason == "experiment"

    (await lending.registry.roll_back(INDUSTRY_MODEL, replaces=second)).expect(200)
    await lending.settle()

    answer = await lending.predict("loan-1")
    assert (answer.answered_by, answer.reason) == (f"{INDUSTRY_MODEL}/1", "industry_champion")
    replaced = (await lending.registry.get_version(INDUSTRY_MODEL, second)).expect(200)
    assert replaced["stage"] == "deprecated"
    experiment = (await lending.registry.call("GET", f"/experiments/{key}")).expect(200)
    assert experiment["state"] == "concluded"
    refusal = await lending.registry.roll_back(INDUSTRY_MODEL, replaces=second)
    assert refusal.status == 409, "it names a champion that no longer is"


async def test_the_audit_log_is_gapless_and_says_what_the_registry_says(lending: Lending) -> None:
    """An auditor who reads the topic knows exactly what one who asks the registry knows."""
    entries = await lending.registry.items("/audit-entries")

    async def read_of_project() -> list[AuditEntryRecorded]:
        published = await lending.world.topics.published(AUDIT_LOG)
        events = [record.event for record in published]
        return [event for event in events if isinstance(event, AuditEntryRecorded) and event.project == lending.project]

    told = await until(read_of_project, lambda seen: len(seen) >= len(entries))
    log = await lending.world.topics.published(AUDIT_LOG)
    assert broken_audit_log(log) == []
    assert {event.entry_id: (event.actor, event.action, event.subject) for event in told} == {
        entry["entry_id"]: (entry["actor"], entry["action"], entry["subject"]) for entry in entries
    }
    promoted = [entry for entry in entries if entry["action"] == "model_version.transitioned"]
    assert {entry["actor"] for entry in promoted} == {"ada"}


async def test_every_registered_models_facts_are_gapless_and_the_routes_end_with_the_truth(
    lending: Lending,
) -> None:
    documents = await lending.settle()

    facts = await lending.world.topics.published(MODEL_VERSIONS)
    # Other tests write forged documents, which no reader takes.
    routes = [record for record in await lending.world.topics.published(ROUTES) if record.is_signed]

    assert broken_sequences(facts) == []
    assert broken_sequences(routes) == []
    last = [record.event for record in routes if record.key == f"{lending.project}/{MODEL_TYPE}"][-1]
    assert last.model_dump(mode="json") == documents[MODEL_TYPE]
