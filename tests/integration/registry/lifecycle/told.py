"""The facts and audit entries that a change must leave."""

from dataclasses import dataclass, field
from typing import Any

from tests.integration.registry.lifecycle.commands import Command
from tests.integration.registry.lifecycle.world import Model, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A fact on `model-versions.v1`, its place under its key, and some of what it says."""

    key: str
    sequence: int
    type: str
    says: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An audit entry, with some of what it says about before and after; `action` None stands for any refusal."""

    action: str | None
    subject: str | None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


@dataclass(slots=True, kw_only=True)
class Told:
    """One change while it is made up: the world after it, and its facts and audit entries in their order."""

    world: World
    command: Command
    new_id: str | None = None
    status: int = 200
    facts: list[Fact] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    def fact(self, model: Model, type_: str, /, *, under: str | None = None, **says: Any) -> None:
        """A fact about a model, next in its sequence."""
        model.sequence += 1
        path = f"{self.world.project}/{under or model.name}"
        self.facts.append(Fact(key=path, sequence=model.sequence, type=type_, says=says))

    def project_fact(self, type_: str, /, *, sequence: int) -> None:
        """A fact about the whole project, which has a key of its own."""
        self.facts.append(Fact(key=self.world.project, sequence=sequence, type=type_, says={}))

    def entry(
        self, action: str, subject: str, before: dict[str, Any] | None = None, after: dict[str, Any] | None = None
    ) -> None:
        """An audit entry."""
        self.entries.append(Entry(action=action, subject=subject, before=before, after=after))
