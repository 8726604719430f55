"""The last acts: a promotion and its rollback, a bad event, and the stream that proves what happened."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from modelyard_examples.cloud_events import TRAINING_RUNS, CloudEvent, open_producer, send
from modelyard_examples.demo.publishing_acts import router_serves
from modelyard_examples.demo.screen import Screen
from modelyard_examples.demo.topics import TopicRecord, records_of
from modelyard_examples.demo.traffic import Loan, predict_all
from modelyard_examples.demo.waiting import until
from modelyard_examples.demo.world import PROJECT, World
from modelyard_examples.publishing import training_run_completed
from modelyard_examples.registry_client import Document
from modelyard_examples.signing import SenderKey, read_signing_key, register_signing_key

LAST_ENTRIES = 8
MODEL = "risk-scoring"


async def roll_back(
    screen: Screen, world: World, loans: Sequence[Loan], champion: Document, candidate: Document
) -> None:
    """Show that the promoted candidate answers alone, then take it back with one call."""
    screen.act("Roll back", "Cached answers of the other version are unreachable at once, after both moves.")
    model, new, old = candidate["model"], candidate["number"], champion["number"]
    debt = [loan for loan in loans if loan["loan_purpose"] == "debt_consolidation"][:300]
    await until("the router serves the candidate", lambda: router_serves(world, model, new))
    promoted = await predict_all(world, debt)
    await world.registry.call(
        "POST", f"/registered-models/{model}/rollback", {"replaces": new, "reason": "the demo wants it back"}
    )
    await until("the router serves the former champion", lambda: router_serves(world, model, old))
    restored = await predict_all(world, debt)
    served = [Counter(asked.prediction.number for asked in t.answered) for t in (promoted, restored)]
    screen.table(
        "after", *(f"answers of {model}:{number}" for number in (old, new)),
        rows=[("the promotion", served[0][old], served[0][new]), ("the rollback", served[1][old], served[1][new])],
    )  # fmt: skip
    screen.claim(
        "after the promotion only the new champion answers, after the rollback only the former one",
        held=served == [Counter({new: len(debt)}), Counter({old: len(debt)})],
        seen=f"{len(debt)} requests each, {len(promoted.failed) + len(restored.failed)} failed",
    )


async def refuse_a_bad_event(screen: Screen, world: World) -> None:
    """Announce a run whose artifact was never uploaded, and forged ones: parked with their reasons, nothing stops."""
    screen.act(
        "Survive bad events", "A run whose artifact nobody uploaded; a run that nobody signed; one of another project."
    )
    own = read_signing_key(world.training_key_file)
    foreign = await _key_of_another_project(world)
    versions = [version async for version in world.registry.list_versions(MODEL)]
    lost = _run("lost", digest="sha256:" + "0" * 64)
    forged = [_run(f"forged-{number}", digest=versions[0]["digest"]) for number in range(2)]
    sent = {lost.id: own, forged[0].id: None, forged[1].id: foreign}
    async with open_producer(world.kafka_bootstrap) as producer:
        for event in (lost, *forged):
            topic = world.system.topic_prefix + TRAINING_RUNS
            await send(producer, event, topic=topic, signing_key=sent[event.id])
    parked: list[TopicRecord] = []

    async def are_parked() -> bool:
        dead = await records_of(world, TRAINING_RUNS + ".dead-letter")
        parked[:] = [record for record in dead if record.attributes["id"] in sent]
        return len(parked) >= len(sent)

    await until("the events are parked", are_parked)
    reasons = {record.attributes["id"]: record.attributes["dead_letter_reason"] for record in parked}
    screen.claim(
        "a bad event is parked once, with its reason",
        held=[record.attributes["id"] for record in parked].count(lost.id) == 1,
        seen=reasons[lost.id],
    )
    after = [version async for version in world.registry.list_versions(MODEL)]
    screen.claim(
        "a forged event, unsigned or signed by another project's key, is parked with its reason and registers nothing",
        held=[reasons[each.id] for each in forged] == ["sender_unproved", "sender_not_permitted"]
        and len(after) == len(versions),
        seen=" and ".join(reasons[each.id] for each in forged),
    )


async def _key_of_another_project(world: World) -> SenderKey:
    await world.registry.create_project("elsewhere", description="somebody else's models")
    return await register_signing_key(
        world.registry,
        actor="another-project",
        project="elsewhere",
        topics=[TRAINING_RUNS],
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )


def _run(run_id: str, *, digest: str) -> CloudEvent:
    return training_run_completed(
        {"project": PROJECT, "model": MODEL, "run_id": run_id, "digest": digest},
        event_id=str(uuid.uuid4()),
        occurred_at=datetime.now(UTC),
    )


async def audit(screen: Screen, world: World) -> None:
    """Read the whole history from Kafka, and prove that nothing is missing."""
    screen.act(
        "Audit", "Every change is on a stream, in order, with gapless sequences: a gap would be proof of a loss."
    )
    facts, entries = await records_of(world, "model-versions.v1"), await records_of(world, "audit-log.v1")
    screen.table(
        "index", "who", "did", "to", "why",
        rows=[
            (e.attributes["sequence"], e.data["actor"], e.data["action"], e.data["subject"], e.data["reason"] or "")
            for e in entries[-LAST_ENTRIES:]
        ],
    )  # fmt: skip
    indexes = _first_seen(int(entry.attributes["sequence"]) for entry in entries)
    screen.claim(
        "the audit log is gapless and in order",
        held=indexes == list(range(1, len(indexes) + 1)),
        seen=f"{len(indexes)} entries",
    )
    by_key: dict[str, list[int]] = defaultdict(list)
    for fact in facts:
        by_key[fact.key].append(int(fact.attributes["sequence"]))
    screen.claim(
        "the facts about each registered model are gapless and in order",
        held=all(_first_seen(seen) == list(range(1, len(set(seen)) + 1)) for seen in by_key.values()),
        seen=f"{len(facts)} facts about {len(by_key)} registered models",
    )
    routed = {route["model_type"]: route["document"] for route in await world.router.routes()}
    governed = (await world.registry.call("GET", "/routes"))["items"]
    screen.claim(
        "the router's state equals the registry's",
        held=bool(routed) and {route["model_type"]: route for route in governed} == routed,
        seen=f"{len(routed)} routing document(s) compared field by field",
    )


def _first_seen(sequence: Iterable[int]) -> list[int]:
    """Without what was delivered again: delivery is at least once."""
    return list(dict.fromkeys(sequence))
