"""What must hold of a system's history, whatever was killed meanwhile. Pure: records in, violations out.

Each check answers sentences about what is wrong, and none when all is well, so that a failing test shows all of
it. Duplicates are allowed everywhere (delivery is at least once); gaps and contradictions are not.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from modelyard_events.inferences import ExposureRecorded, InferenceCompleted
from modelyard_events.registry import AuditEntryRecorded
from modelyard_events.routes import RouteChanged
from modelyard_events.shadows import ShadowReplayCompleted

from tests.world.published import Published, events_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedAnswer:
    """A prediction as its client saw it.

    `version_floor` is the highest entity version whose purge the client knew of before it asked, `revision_floor`
    the newest route that an answer was decided by before that. `version_read` is the entity version in the inputs
    that the answer was made from. `decided` is the version that the receipt names, `answered_by` the one that the
    answer itself names, both as `model/number`.
    """

    inference_id: str
    entity_id: str
    version_floor: int
    version_read: int
    decided: str
    answered_by: str
    route_revision: int
    revision_floor: int
    cache: str
    variant: str | None = None
    is_shadowed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLine:
    """What the registry counts of replays: `requested` and how they ended."""

    requested: int
    compared: int
    failed: int
    expired: int
    dropped: int

    @property
    def ended(self) -> int:
        return self.compared + self.failed + self.expired + self.dropped


def broken_sequences(records: Iterable[Published]) -> list[str]:
    """Where a key's sequence is not 1, 2, 3 … in order, once duplicates and older records are dropped."""
    by_key: dict[str, list[Published]] = defaultdict(list)
    for record in records:
        by_key[record.key].append(record)
    return [fault for key, history in by_key.items() for fault in _broken(f"key {key}", history)]


def broken_audit_log(records: Iterable[Published]) -> list[str]:
    """Where the audit log's index has a gap or contradicts itself, or an entry has two places in it."""
    log = list(records)
    places: dict[str, set[int]] = defaultdict(set)
    for record in log:
        if isinstance(record.event, AuditEntryRecorded):
            places[record.event.entry_id].add(record.sequence)
    doubles = [f"entry {entry} stands at {sorted(indexes)}" for entry, indexes in places.items() if len(indexes) > 1]
    return [*_broken("audit log", log), *doubles]


def unaudited_changes(records: Iterable[Published], *, accepted_requests: Iterable[str]) -> list[str]:
    """Accepted requests that left no audit entry, and changes that left the same entry twice."""
    entries = list(events_of(records, AuditEntryRecorded))
    audited = {entry.request_id for entry in entries}
    changes = Counter((entry.request_id, entry.action, entry.subject) for entry in entries)
    missing = [f"request {request} has no audit entry" for request in accepted_requests if request not in audited]
    twice = [
        f"request {request}: {action} of {subject} has {times} entries"
        for (request, action, subject), times in changes.items()
        if times > 1
    ]
    return missing + twice


def broken_routes(records: Iterable[Published], *, documents: Mapping[str, RouteChanged]) -> list[str]:
    """Keys whose last record is not the registry's document. `documents` maps `project/model_type` to it.

    Compaction keeps the last record of a key, so an older document behind a newer one would win there.
    """
    last: dict[str, RouteChanged] = {}
    for record in records:
        if isinstance(record.event, RouteChanged):
            last[record.key] = record.event
    return [
        f"{key}: the topic ends with {_revision(last.get(key))}, the registry says {_revision(documents.get(key))}"
        for key in sorted({*last, *documents})
        if last.get(key) != documents.get(key)
    ]


def stale_answers(answers: Iterable[ObservedAnswer]) -> list[str]:
    """Answers from inputs older than a known purge, by another version than the decided one, or by an older route."""
    return [fault for answer in answers for fault in _stale(answer)]


def undecided_answers(answers: Iterable[ObservedAnswer], *, documents: Mapping[int, RouteChanged]) -> list[str]:
    """Answers by a version that the document which they were decided by, found by its revision, does not have."""
    routable = {
        revision: {f"{version.model}/{version.number}" for version in document.versions}
        for revision, document in documents.items()
    }
    return [
        f"{answer.entity_id}: {answer.decided} is not in revision {answer.route_revision} of the route"
        for answer in answers
        if answer.decided not in routable.get(answer.route_revision, set())
    ]


def unfinished_replays(inferences: Iterable[Published], comparisons: Iterable[Published]) -> list[str]:
    """Inferences with a shadow target that have no terminal fact, and terminal facts of nothing."""
    requested = {event.inference_id for event in events_of(inferences, InferenceCompleted) if event.shadow is not None}
    ended = {event.inference_id for event in events_of(comparisons, ShadowReplayCompleted)}
    open_replays = [f"replay of {inference} has no terminal fact" for inference in sorted(requested - ended)]
    unknown = [f"terminal fact about {inference}, which nobody asked for" for inference in ended - requested]
    return open_replays + unknown


def replay_outcomes(comparisons: Iterable[Published]) -> Counter[str]:
    """How the replays ended, each counted once, by the first fact about it."""
    first: dict[str, str] = {}
    for event in events_of(comparisons, ShadowReplayCompleted):
        first.setdefault(event.inference_id, event.outcome)
    return Counter(first.values())


def wrong_ledger(line: LedgerLine, *, inferences: Sequence[Published]) -> list[str]:
    """Why the registry's ledger does not add up, or does not count each requested replay once."""
    requested = sum(event.shadow is not None for event in events_of(inferences, InferenceCompleted))
    faults = []
    if line.requested != line.ended:
        faults.append(f"the ledger does not add up: {line.requested} requested, {line.ended} ended")
    if line.requested != requested:
        faults.append(f"the ledger counts {line.requested} requested replays, {requested} were")
    return faults


def lost_facts(records: Iterable[Published], *, since: Iterable[Published] = ()) -> dict[str, int]:
    """How many facts each source numbered and did not publish, by the gaps in its sequence.

    Gaps before the first of `since` are left out: an earlier story made them.
    """
    numbers, first = _numbers_by_source(records), _numbers_by_source(since)
    missing = {}
    for source, given in numbers.items():
        start = min(first[source], default=1)
        seen = {number for number in given if number >= start}
        missing[source] = max(seen) - start + 1 - len(seen) if seen else 0
    return {source: count for source, count in missing.items() if count}


def _numbers_by_source(records: Iterable[Published]) -> dict[str, set[int]]:
    numbers: dict[str, set[int]] = defaultdict(set)
    for record in records:
        numbers[record.envelope.source].add(record.sequence)
    return numbers


def exposures_by_variant(records: Iterable[Published], *, experiment_id: str) -> Counter[str]:
    """How often each variant of an experiment was served, each exposure once."""
    exposures = {event.exposure_id: event for event in events_of(records, ExposureRecorded)}
    return Counter(event.variant for event in exposures.values() if event.experiment_id == experiment_id)


def unsteady_units(records: Iterable[Published], *, experiment_id: str) -> list[str]:
    """Units that were served more than one variant of an experiment."""
    variants: dict[str, set[str]] = defaultdict(set)
    for event in events_of(records, ExposureRecorded):
        if event.experiment_id == experiment_id:
            variants[event.unit_hash].add(event.variant)
    return [f"unit {unit} got {sorted(got)}" for unit, got in variants.items() if len(got) > 1]


def _broken(name: str, history: Sequence[Published]) -> Iterator[str]:
    highest = 0
    first: dict[int, Published] = {}
    for record in history:
        sequence, known = record.sequence, first.setdefault(record.sequence, record)
        if known is not record:
            if not _is_said_again(record, known):
                yield f"{name}: two events with sequence {sequence}"
            continue
        if sequence != highest + 1:
            yield f"{name}: sequence {sequence} follows {highest}"
        highest = max(highest, sequence)


def _is_said_again(record: Published, known: Published) -> bool:
    """Whether a record repeats `known`. The registry says a signed document again under another id."""
    return record.envelope.id == known.envelope.id or (record.is_signed and record.event == known.event)


def _stale(answer: ObservedAnswer) -> Iterator[str]:
    if answer.version_read < answer.version_floor:
        yield (
            f"{answer.entity_id}: answered from version {answer.version_read} (cache: {answer.cache}) "
            f"though the purge of version {answer.version_floor} was known"
        )
    if answer.answered_by != answer.decided:
        yield f"{answer.entity_id}: {answer.decided} was decided, {answer.answered_by} answered"
    if answer.route_revision < answer.revision_floor:
        yield (
            f"{answer.entity_id}: decided by revision {answer.route_revision} of the route "
            f"after revision {answer.revision_floor} had been in force"
        )


def _revision(document: RouteChanged | None) -> str:
    return "no document" if document is None else f"revision {document.revision}"
