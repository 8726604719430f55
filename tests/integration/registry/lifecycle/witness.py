"""What is there to be seen: answers, facts, audit entries, documents; each held against what must be there."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import filterfalse
from typing import Any

from modelyard_registry.approvals.expiry import Expiry
from modelyard_registry.transactions import UnitOfWork
from modelyard_runtime.ids import new_uuid7

from tests.integration.registry.door import TOKEN, Door
from tests.integration.registry.lifecycle import oracle_requests
from tests.integration.registry.lifecycle.commands import Command, http_of
from tests.integration.registry.lifecycle.oracle import Expected, expect
from tests.integration.registry.lifecycle.told import Entry, Fact, Told
from tests.integration.registry.lifecycle.world import World
from tests.world.http_client import Reply

OUTBOX = """
SELECT id, topic, type, key, sequence, payload, actor, audit_entry_id FROM outbox
WHERE id > $2 AND (key = $1 OR starts_with(key, $1 || '/')) ORDER BY id
"""
AUDIT = "SELECT * FROM audit_entries WHERE project = $1 AND NOT id = ANY($2::uuid[]) ORDER BY id"
ROUTES, AUDIT_LOG, MODEL_VERSIONS = "routes.v1", "audit-log.v1", "model-versions.v1"

Sent = tuple[Command, Reply]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What was written since the last look."""

    facts: list[dict[str, Any]]
    entries: list[dict[str, Any]]


class DisagreementError(AssertionError):
    """The registry did, or said, something else than it must."""


@dataclass(slots=True, kw_only=True)
class Witness:
    """Sends commands to one project and keeps account of what became of them.

    `door` and `other` are two registries on one database, as in service: what only one process keeps in order shows.
    """

    door: Door
    other: Door
    world: World
    sent: int = 0
    last_row: int = 0
    known_entries: set[Any] = field(default_factory=set)
    route_sequence: int = 0
    route: dict[str, Any] = field(default_factory=lambda: {"versions": [], "champions": [], "experiments": []})
    subjects: set[str] = field(default_factory=set)
    journal: list[str] = field(default_factory=list)
    reached: Counter[tuple[str, int]] = field(default_factory=Counter)

    async def forget(self) -> None:
        """What was written until now, to set the scene, is not judged."""
        async with self.door.database.acquire() as connection:
            rows = await connection.fetch(OUTBOX, self.door.project, 0)
            self.known_entries = {entry["id"] for entry in await connection.fetch(AUDIT, self.door.project, [])}
        self.last_row = max((row["id"] for row in rows), default=0)

    async def together(self, commands: Sequence[Command]) -> None:
        """Send commands at once: what is to be seen must be what some order of them leads to."""
        replies = await asyncio.gather(*(self._send(command) for command in commands))
        sent = list(zip(commands, replies, strict=True))
        for command, reply in sent:
            self._refuse_failure(command, reply, sent)
        recorded = await self._recorded(sent)
        faults: list[str] = []
        found = next(_orders(self.world, sent, (), recorded, faults), None)
        if found is None:
            raise DisagreementError("\n".join([*self._told(sent), *dict.fromkeys(faults)]))
        self.world = found
        self.reached.update((command.op, reply.status) for command, reply in sent)
        self.journal += [f"{command} -> {reply.status}" for command, reply in sent]
        await self._check_documents()

    async def let_a_day_pass(self) -> None:
        """A day and an hour go by, and a round ends the requests whose time is over."""
        self.door.clock.now += timedelta(hours=25)
        clock, database = self.door.clock, self.door.database
        unit_of_work = UnitOfWork(database, clock=clock, new_id=new_uuid7, wake=lambda: None)
        await Expiry(database, unit_of_work=unit_of_work, clock=clock).expire_due()
        told = Told(world=self.world.copy(), command=Command(id="", op="sweep", actor="registry"))
        told.world.day += 1
        told.world.answers.clear()
        oracle_requests.sweep(told)
        faults = _differences(await self._recorded([]), told.facts, [(None, each) for each in told.entries])
        if faults:
            raise DisagreementError("\n".join(faults))
        self.world = told.world
        await self._check_documents()

    async def look_back(self) -> None:
        """The whole history, read once more at the end."""
        for name, model in self.world.models.items():
            if model.is_deleted:
                continue
            path = f"/registered-models/{name}"
            for number, version in model.versions.items():
                moves = (await self._get(f"{path}/versions/{number}/transitions", page_size="200"))["items"]
                seen = [(move["from_stage"], move["to_stage"], move["request_id"]) for move in reversed(moves)]
                _same(f"history of {name} {number}", seen, version.moves)
            champion = await self.door.call("GET", f"{path}/champion")
            now = champion.document["number"] if champion.status == 200 else None
            _same(f"champion of {name}", now, model.champion)
        await self._check_requests()
        experiments = (await self._get("/experiments", page_size="200"))["items"]
        states = {each.key: "running" if each.is_running else "concluded" for each in self.world.experiments.values()}
        _same("experiments", {each["key"]: each["state"] for each in experiments}, states)
        for subject in sorted(self.subjects):
            chain = await self._get("/audit-entries/verify", subject=subject)
            _same(f"chain of {subject}", (chain["intact"], chain["unchained_entries"]), (True, 0))

    async def _send(self, command: Command) -> Reply:
        method, path, document, query = http_of(command)
        token = TOKEN if command.actor == "ann" else f"{command.actor}s-token"
        self.sent += 1
        http = (self.door, self.other)[self.sent % 2].http
        door = replace(self.door, http=replace(http, token=token))
        return await door.call(method, path, document, headers=command.headers, query=query)

    def _refuse_failure(self, command: Command, reply: Reply, sent: Sequence[Sent]) -> None:
        if reply.status >= 500 or (reply.status >= 400 and not reply.is_problem):
            raise DisagreementError("\n".join([*self._told(sent), f"{command}: {reply}"]))

    def _told(self, sent: Sequence[Sent]) -> list[str]:
        """The calls of the example until now; nobody has to see how the scene was set."""
        return [*self.journal[16:], "no order explains", *(f"  {c} -> {r.status}" for c, r in sent)]

    async def _recorded(self, sent: Sequence[Sent]) -> Recorded:
        actors = {command.id: command.actor for command, _ in sent}
        async with self.door.database.acquire() as connection:
            rows = await connection.fetch(OUTBOX, self.door.project, self.last_row)
            entries = await connection.fetch(AUDIT, self.door.project, list(self.known_entries))
        self.last_row = max([self.last_row, *(row["id"] for row in rows)])
        self.known_entries |= {entry["id"] for entry in entries}
        self.subjects |= {entry["subject"] for entry in entries}
        told = Counter(row["audit_entry_id"] for row in rows if row["topic"] == AUDIT_LOG)
        _same("audit entries on audit-log.v1", told, Counter(entry["id"] for entry in entries))
        for entry in filterfalse(_is_about_permissions, entries):
            _same("who did it", entry["actor"], actors.get(entry["request_id"], "registry"))
        self._read_routes([row for row in rows if row["topic"] == ROUTES])
        return Recorded(
            facts=[{**row, "event": json.loads(row["payload"])} for row in rows if row["topic"] == MODEL_VERSIONS],
            entries=[dict(entry) for entry in entries if not _is_about_permissions(entry)],
        )

    def _read_routes(self, rows: Sequence[Any]) -> None:
        first = self.route_sequence + 1
        _same("sequence of the route", [row["sequence"] for row in rows], list(range(first, first + len(rows))))
        for row in rows:
            self.route_sequence, self.route = row["sequence"], json.loads(row["payload"])
            slots = Counter(_slot_of(each) for each in self.route["champions"])
            _same("champions per slot", {count for count in slots.values() if count > 1}, set())

    async def _check_documents(self) -> None:
        models = (await self._get("/registered-models", page_size="200"))["items"]
        there = {name: each for name, each in self.world.models.items() if not each.is_deleted}
        seen = {each["name"]: (each["revision"], each["version_count"], each["aliases"]) for each in models}
        _same("models", seen, {name: (m.revision, len(m.versions), m.aliases) for name, m in there.items()})
        versions = (await self._get("/model-versions", page_size="200"))["items"]
        _same(
            "versions",
            {(each["model"], each["number"]): _shown(each) for each in versions},
            {(m.name, v.number): _standing(m.aliases, v) for m in there.values() for v in m.versions.values()},
        )
        _same("route", _routed(self.route), self.world.route())

    async def _check_requests(self) -> None:
        requests = (await self._get("/transition-requests", page_size="200"))["items"]
        seen = {each["request_id"]: (each["state"], [_said(d) for d in each["decisions"]]) for each in requests}
        there = {id_: (self.world.state_of(each), each.decisions) for id_, each in self.world.requests.items()}
        _same("transition requests", {id_: said for id_, said in seen.items() if id_ in there}, there)
        for each in requests:
            approvers = {actor for actor, kind in map(_said, each["decisions"]) if kind == "approval"}
            if each["state"] == "applied" and len(approvers - {each["requested_by"]}) < each["approvals_needed"]:
                raise DisagreementError(f"applied without enough approvals of others: {each}")

    async def _get(self, path: str, **query: str) -> Any:
        return (await self.door.call("GET", path, query=query)).expect(200)


def _orders(
    world: World,
    waiting: Sequence[Sent],
    done: tuple[tuple[Command, Expected], ...],
    recorded: Recorded,
    faults: list[str],
) -> Iterator[World]:
    """The worlds that an order of the waiting commands leads to, when all that was seen agrees with it."""
    if not waiting:
        facts = [fact for _, expected in done for fact in expected.facts]
        entries = [(command, entry) for command, expected in done for entry in expected.entries]
        differences = _differences(recorded, facts, entries)
        faults.extend(differences)
        if not differences:
            yield world
        return
    for index, (command, reply) in enumerate(waiting):
        new_id = reply.document.get("request_id") if isinstance(reply.document, dict) else None
        after, expected = expect(world, command, new_id=new_id)
        fault = _why_other(command, reply, expected)
        if fault is not None:
            faults.append(fault)
            continue
        yield from _orders(
            after, [*waiting[:index], *waiting[index + 1 :]], (*done, (command, expected)), recorded, faults
        )


def _why_other(command: Command, reply: Reply, expected: Expected) -> str | None:
    """How the answer differs from the expected one; None when it does not."""
    if reply.status != expected.status:
        return f"{command}: answered {reply.status}, must be {expected.status}: {reply.body[:500]!r}"
    seen = {name: reply.document.get(name) for name in expected.says}
    other = {name: seen[name] for name, value in expected.says.items() if not _agrees(seen[name], value)}
    return f"{command}: says {other}, must be {expected.says}" if other else None


def _agrees(seen: Any, must: Any) -> bool:
    if isinstance(must, dict):
        return isinstance(seen, dict) and must.items() <= seen.items()
    return bool(seen == must)


def _differences(
    recorded: Recorded, facts: Sequence[Fact], entries: Sequence[tuple[Command | None, Entry]]
) -> list[str]:
    """How what was written differs from what had to be."""
    faults = []
    by_place = {(row["key"], row["sequence"]): row for row in recorded.facts}
    if len(by_place) < len(recorded.facts) or set(by_place) != {(fact.key, fact.sequence) for fact in facts}:
        seen = [(row["key"], row["sequence"], row["type"]) for row in recorded.facts]
        faults.append(f"facts are {seen}, must be {[(fact.key, fact.sequence, fact.type) for fact in facts]}")
    for fact in facts:
        row = by_place.get((fact.key, fact.sequence))
        event = {} if row is None else row["event"]
        if row is not None and (
            row["type"].removesuffix(".v1") != fact.type or any(event.get(k) != v for k, v in fact.says.items())
        ):
            faults.append(f"fact {row['type']} {event}, must be {fact}")
    waiting = list(recorded.entries)
    for command, entry in entries:
        found = next((each for each in waiting if _tells(each, command, entry)), None)
        if found is None:
            faults.append(f"no audit entry for {command}: {entry}; there are {[_brief(each) for each in waiting]}")
        else:
            waiting.remove(found)
    return faults + [f"an audit entry of nothing: {_brief(each)}" for each in waiting]


def _tells(found: dict[str, Any], command: Command | None, entry: Entry) -> bool:
    if command is not None and found["request_id"] != command.id:
        return False
    if entry.action is None:
        return str(found["action"]).endswith(".refused")
    if (found["action"], found["subject"]) != (entry.action, entry.subject):
        return False
    pairs = ((found["before"], entry.before), (found["after"], entry.after))
    return all((seen or {}).get(name) == value for seen, must in pairs for name, value in (must or {}).items())


def _brief(entry: dict[str, Any]) -> str:
    return f"{entry['action']} {entry['subject']} {entry['before']} -> {entry['after']} ({entry['request_id']})"


def _is_about_permissions(entry: Any) -> bool:
    """Refusals for want of a permission are summed up by the minute: how many entries they make is another matter."""
    return (entry["after"] or {}).get("problem") == "forbidden"


def _same(what: str, seen: object, must: object) -> None:
    if seen != must:
        raise DisagreementError(f"{what}: is {seen!r}, must be {must!r}")


def _shown(document: dict[str, Any]) -> tuple[Any, ...]:
    names = (
        "semver",
        "stage",
        "quarantined",
        "build_status",
        "review_status",
        "description",
        "digest",
        "revision",
        "aliases",
    )
    return tuple(document[name] for name in names)


def _standing(aliases: dict[str, int], version: Any) -> tuple[Any, ...]:
    return (
        ".".join(map(str, version.semver)),
        version.stage,
        version.quarantined,
        version.build,
        version.review,
        version.description,
        version.digest,
        version.revision,
        sorted(alias for alias, number in aliases.items() if number == version.number),
    )


def _said(decision: dict[str, Any]) -> tuple[str, str]:
    return decision["actor"], decision["decision"]


def _slot_of(champion: dict[str, Any]) -> tuple[Any, ...]:
    return champion["scope"], champion["industry"], champion["tenant"]


def _routed(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "versions": {
            (each["model"], each["number"]): (
                each["stage"],
                each["quarantined"],
                (each["endpoint"] or {}).get("url"),
                (each["endpoint"] or {}).get("revision"),
                sorted(each["aliases"]),
            )
            for each in document["versions"]
        },
        "champions": {
            (each["industry"], each["model"], each["number"], (each["former"] or {}).get("number"))
            for each in document["champions"]
        },
        "experiments": {
            each["key"]: tuple((variant["model"], variant["number"]) for variant in each["variants"])
            for each in document["experiments"]
        },
    }
