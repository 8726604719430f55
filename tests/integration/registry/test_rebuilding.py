"""Whoever reads `model-versions.v1`, and nothing else, knows what the registry knows; the audit log agrees."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from modelyard_events.audit_chain import hash_of_entry
from modelyard_events.codec import Received
from modelyard_events.event import Event
from modelyard_events.model_changes import (
    RegisteredModelRemeasured,
    RegisteredModelRenamed,
    RegisteredModelUpdated,
)
from modelyard_events.registry import (
    AliasMoved,
    AuditEntryRecorded,
    DeploymentRecorded,
    ModelVersionQuarantined,
    ModelVersionRegistered,
    ModelVersionTransitioned,
    RegisteredModelCreated,
)
from modelyard_events.topics import AUDIT_LOG, MODEL_VERSIONS, Topic

from tests.integration.registry.registry_world import ENDPOINT, RegistryWorld
from tests.integration.registry.relay_world import until
from tests.world.registry import an_evidence

pytestmark = pytest.mark.integration

Document = dict[str, Any]
MODEL_FIELDS = ("model_type", "scope", "industry", "tenant", "description", "owner", "primary_metric", "tags")
VERSION_FIELDS = ("semver", "stage", "digest", "artifact_bytes", "format", "evidence", "improvement")


@dataclass(slots=True)
class Rebuilt:
    """The registry's state, as its facts tell it: by model, and by model and number."""

    models: dict[str, Document] = field(default_factory=dict)
    aliases: dict[str, dict[str, int]] = field(default_factory=dict)
    versions: dict[tuple[str, int], Document] = field(default_factory=dict)
    deployments: dict[tuple[str, int, str], Document] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        """Follow one fact; what it says of before must be what is known."""
        facts = event.model_dump(mode="json")
        match event:
            case RegisteredModelCreated():
                self.models[event.model] = {name: facts[name] for name in MODEL_FIELDS}
                self.aliases[event.model] = {}
            case RegisteredModelUpdated():
                model = self.models[event.model]
                changing = model.keys() & facts["before"].keys()
                assert all(model[name] == facts["before"][name] for name in changing)
                model.update({name: facts["after"][name] for name in changing})
            case RegisteredModelRemeasured():
                for improved in event.improvements:
                    self.versions[event.model, improved.number]["improvement"] = improved.improvement
            case RegisteredModelRenamed():
                self._rename(event.before, event.after)
            case AliasMoved():
                aliases = self.aliases[event.model]
                assert aliases.pop(event.alias, None) == event.from_number
                if event.to_number is not None:
                    aliases[event.alias] = event.to_number
            case _:
                self._apply_to_version(event, facts)

    def _rename(self, before: str, after: str) -> None:
        """Told under both keys: the second time there is nothing left under the old name."""
        if before not in self.models:
            assert after in self.models
            return
        self.models[after] = self.models.pop(before)
        self.aliases[after] = self.aliases.pop(before)
        self.versions = {(after if m == before else m, n): facts for (m, n), facts in self.versions.items()}
        self.deployments = {(after if m == before else m, n, e): d for (m, n, e), d in self.deployments.items()}

    def _apply_to_version(self, event: Event, facts: Document) -> None:
        match event:
            case ModelVersionRegistered():
                version = {name: facts[name] for name in VERSION_FIELDS}
                self.versions[event.model, event.number] = {**version, "quarantined": False}
            case ModelVersionTransitioned():
                version = self.versions[event.model, event.number]
                assert version["stage"] == event.from_stage
                version["stage"] = event.to_stage
            case ModelVersionQuarantined():
                self.versions[event.model, event.number]["quarantined"] = event.quarantined
            case DeploymentRecorded():
                place = event.model, event.number, event.environment
                before = self.deployments.get(place, {"endpoint": None, "health": None})
                assert before == {"endpoint": facts["previous_endpoint"], "health": facts["previous_health"]}
                self.deployments[place] = {"endpoint": facts["endpoint"], "health": facts["health"]}


async def events_of(world: RegistryWorld, topic: Topic) -> list[Event]:
    """The project's events on a topic, in their order."""
    return [each.event for each in await world.read(topic) if getattr(each.event, "project", None) == world.project]


async def in_order(world: RegistryWorld) -> list[Event]:
    """The facts about models as a consumer applies them: of a renamed model the new key's after the old key's.

    Partitions are read in any order, so whoever finds a new name's facts first holds them back until the sequence
    before them, under the old name, has been applied.
    """
    waiting: dict[str, list[Received[Event]]] = {}
    for each in await world.read(MODEL_VERSIONS):
        if getattr(each.event, "project", None) == world.project:
            waiting.setdefault(str(each.envelope.subject), []).append(each)
    applied: list[Event] = []
    reached: dict[str, int] = {}
    while any(waiting.values()):
        before = len(applied)
        for key, queue in waiting.items():
            while queue and _may_follow(queue[0], key=key, reached=reached):
                received = queue.pop(0)
                reached[key] = received.envelope.sequence or 0
                applied.append(received.event)
        assert len(applied) > before, f"nothing can follow {reached}"
    return applied


def _may_follow(received: Received[Event], *, key: str, reached: dict[str, int]) -> bool:
    event, sequence = received.event, received.envelope.sequence or 0
    if isinstance(event, RegisteredModelRenamed) and key.endswith(f"/{event.after}"):
        return reached.get(f"{event.project}/{event.before}") == sequence - 1
    assert sequence == reached.get(key, 0) + 1
    return True


async def as_http_says(world: RegistryWorld) -> Rebuilt:
    """The same state, asked for."""
    state = Rebuilt()
    for model in await world.registry.items("/registered-models"):
        name = model["name"]
        state.models[name] = {each: model[each] for each in MODEL_FIELDS}
        state.aliases[name] = model["aliases"]
        for version in await world.registry.items(f"/registered-models/{name}/versions"):
            number = version["number"]
            state.versions[name, number] = {each: version[each] for each in (*VERSION_FIELDS, "quarantined")}
            for deployment in await world.registry.items(f"/registered-models/{name}/versions/{number}/deployments"):
                known = {"endpoint": deployment["endpoint"], "health": deployment["health"]}
                state.deployments[name, number, deployment["environment"]] = known
    return state


async def a_story(world: RegistryWorld) -> None:
    """Something of everything: promotions, a rollback, a replacement, quarantine, a changed endpoint."""
    await world.a_model("risk", description="Expected loss", owner="ann", tags={"team": "risk"}, primary_metric="rmse")
    await world.a_model("risk-2")
    await world.a_version("risk")
    await world.a_version("risk")
    await world.a_version("risk", to_stage="development")
    await world.a_version("risk", to_stage="staging")
    registry = world.registry
    (await registry.roll_back("risk", replaces=2)).expect(200)
    (await registry.deploy("risk", 1, url=f"{ENDPOINT}/moved")).expect(200)
    path = "/registered-models/risk/versions/4/quarantine"
    (await registry.call("PUT", path, {"quarantined": True, "reason": "a test says so"})).expect(200)
    (await registry.call("PATCH", "/registered-models/risk", {"description": "Better said"})).expect(200)
    await a_child_measured_again(world)
    assert (await registry.move("risk", 3, "production")).status == 409


async def a_child_measured_again(world: RegistryWorld) -> None:
    """A version whose improvement turns round when lower is no longer better."""
    evidence = an_evidence(rmse=3.0, parent=("risk", 1))
    await world.a_version("risk-2", to_stage="development", evidence=evidence)
    patch = {"higher_is_better": True}
    (await world.registry.call("PATCH", "/registered-models/risk-2", patch)).expect(200)


async def settled(world: RegistryWorld) -> None:
    """Wait until everything that was said is on the topics."""

    async def is_empty() -> bool:
        return bool(await world.fetch_value("SELECT count(*) = 0 FROM outbox"))

    await until(is_empty)


async def test_the_registrys_state_is_rebuilt_from_its_facts_alone(registry_world: RegistryWorld) -> None:
    await a_story(registry_world)
    await settled(registry_world)

    rebuilt = Rebuilt()
    for event in await in_order(registry_world):
        rebuilt.apply(event)

    assert rebuilt == await as_http_says(registry_world)
    assert rebuilt.aliases["risk"] == {"champion": 1}
    assert [rebuilt.versions["risk", number]["stage"] for number in (1, 2, 3, 4)] == [
        "production",
        "deprecated",
        "development",
        "staging",
    ]


async def test_a_renamed_model_is_followed_from_key_to_key(registry_world: RegistryWorld) -> None:
    await a_story(registry_world)
    registry = registry_world.registry
    await registry_world.a_version("risk-2", to_stage="staging")
    for before, after in (("risk-2", "loss"), ("loss", "loan-loss"), ("loan-loss", "risk-2"), ("risk-2", "final")):
        (await registry.call("POST", f"/registered-models/{before}/rename", {"name": after})).expect(200)
        (await registry.call("PATCH", f"/registered-models/{after}", {"description": after})).expect(200)
    await registry_world.a_version("final", to_stage="staging")
    await settled(registry_world)

    rebuilt = Rebuilt()
    for event in await in_order(registry_world):
        rebuilt.apply(event)

    assert rebuilt == await as_http_says(registry_world)
    assert set(rebuilt.models) == {"risk", "final"}
    assert {number for model, number in rebuilt.versions if model == "final"} == {1, 2, 3}


async def test_the_audit_log_agrees_with_the_facts_by_digest_and_holds_together(registry_world: RegistryWorld) -> None:
    await a_story(registry_world)
    await settled(registry_world)

    facts = await events_of(registry_world, MODEL_VERSIONS)
    entries = [each for each in await events_of(registry_world, AUDIT_LOG) if isinstance(each, AuditEntryRecorded)]

    digests = {
        f"registered-models/{fact.model}/versions/{fact.number}": fact.digest
        for fact in facts
        if isinstance(fact, ModelVersionRegistered)
    }
    about_versions = [entry for entry in entries if entry.subject in digests and entry.digest is not None]
    moves = [fact for fact in facts if isinstance(fact, ModelVersionTransitioned)]
    audited = [entry for entry in entries if entry.action == "model_version.transitioned"]
    ends: dict[str, str] = {}
    for entry in entries:
        assert entry.previous_hash == ends.get(entry.subject), entry
        ends[entry.subject] = hash_of_entry(entry)
    assert {entry.subject for entry in about_versions} == set(digests)
    assert all(entry.digest in _digests_of(entry, digests) for entry in about_versions)
    assert sorted(
        (f"registered-models/{m.model}/versions/{m.number}", m.from_stage, m.to_stage) for m in moves
    ) == sorted((e.subject, (e.before or {})["stage"], (e.after or {})["stage"]) for e in audited)


def _digests_of(entry: AuditEntryRecorded, digests: dict[str, str]) -> set[str]:
    # A rollback is told about the version that is taken back, with the digest of the one that serves again.
    return set(digests.values()) if entry.action == "model_version.rolled_back" else {digests[entry.subject]}
