"""What the leader says on the compacted topics besides the outbox: every document at first, then what needs mending.

All of it is signed, like the documents that come from the outbox: readers take nothing else.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import structlog
from modelyard_events.envelope import RecordOrder
from modelyard_runtime.clock import Clock
from modelyard_runtime.ids import NewId
from modelyard_runtime.state.keys import StateSigner

from modelyard_registry.outbox import metrics
from modelyard_registry.outbox.repair import STATE_TOPICS, LastRecords, StateTopicsTail
from modelyard_registry.outbox.rows import Outgoing, StateDocument, outgoing_document, outgoing_tombstone
from modelyard_registry.outbox.table import OutboxTable

log = structlog.get_logger()

DOCUMENTS_PAGE = 500
TOLD_KEYS_MAX = 20
STATE_TOPIC_NAMES = frozenset(topic.name for topic in STATE_TOPICS)

Send = Callable[[Sequence[Outgoing]], Awaitable[int]]
"""Publishes records and answers how many there were; raises when the broker did not take all of them."""


class StateDocuments:
    """The documents of one leader on one connection; `generation` is the one that they are said in."""

    def __init__(
        self,
        table: OutboxTable,
        tail: StateTopicsTail,
        *,
        signer: StateSigner | None,
        generation: int,
        send: Send,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self.generation = generation
        self._table = table
        self._tail = tail
        self._signer = signer
        self._send = send
        self._clock = clock
        self._new_id = new_id
        self._is_compared = False

    def leaving(self, outgoing: Outgoing, *, key: str, order: RecordOrder) -> Outgoing:
        """The record as it leaves: signed when it is a document, and known to be this registry's own."""
        if outgoing.topic not in STATE_TOPIC_NAMES:
            return outgoing
        self._tail.records[outgoing.topic].say(key, order=order)
        return self._signed(outgoing)

    def trouble(self) -> str:
        """What a person should look at, or nothing."""
        ahead = sum(len(seen.ahead) for seen in self._tail.records.values()) if self._is_compared else 0
        metrics.RELAY_KEYS_AHEAD.set(ahead)
        troubles = [self._tail.trouble()]
        if ahead:
            troubles.append(f"the log has newer documents of {ahead} keys than the database ever had")
        return "; ".join(each for each in troubles if each)

    async def say_all(self) -> None:
        """A new leader says every document again: a leader before it may have said an old one last."""
        for topic in STATE_TOPICS:
            after: str | None = None
            while documents := await self._table.list_documents(
                topic.name, after=after, limit=DOCUMENTS_PAGE, generation=self.generation
            ):
                await self._send([self._said_again(each) for each in documents])
                after = documents[-1].key

    async def repair(self) -> int:
        """Say again what was covered by an older or an unsigned record. Returns how many records that took."""
        if not self._tail.has_caught_up:
            return 0
        return sum([await self._repair_topic(topic, seen) for topic, seen in self._tail.records.items()])

    async def outrank_log(self) -> None:
        """Begin a new generation when the log is ahead, once: the database was restored to an earlier point.

        Only documents that were in the log before this leader came are compared, and only signed ones. Later ones
        come from another registry with the same key: outranking these would start an endless quarrel.
        """
        if self._is_compared or not self._tail.has_caught_up:
            return
        self._is_compared = True
        ahead = {topic: seen.ahead for topic, seen in self._tail.records.items() if seen.ahead}
        if not ahead:
            return
        log.error("log_ahead_of_database", keys={topic: keys[:TOLD_KEYS_MAX] for topic, keys in ahead.items()})
        found = [
            await self._table.list_documents_of(topic, keys, generation=self.generation)
            for topic, keys in ahead.items()
        ]
        if self._signer is None or not any(found):
            return
        highest = max(self._tail.records[topic].generation for topic in ahead)
        self.generation = await self._table.rise_above(highest)
        log.warning("generation_raised", generation=self.generation)
        await self.say_all()

    async def _repair_topic(self, topic: str, seen: LastRecords) -> int:
        overtaken = seen.overtaken
        if not overtaken:
            return 0
        found = await self._table.list_documents_of(topic, overtaken, generation=self.generation)
        documents = seen.select_mending(found)
        foreign = set() if self._signer is None else set(overtaken) - {each.key for each in found}
        foreign -= await self._table.list_waiting(topic, sorted(foreign))
        deletions = [self._signed(outgoing_tombstone(topic, key=key)) for key in sorted(foreign)]
        count = await self._send([*(self._said_again(each) for each in documents), *deletions])
        seen.forget_overtaken(overtaken)
        metrics.RELAY_REPAIRS.inc(count)
        log.warning(
            "documents_repaired",
            topic=topic,
            overtaken=overtaken[:TOLD_KEYS_MAX],
            said_again=[each.key for each in documents][:TOLD_KEYS_MAX],
            deleted=len(deletions),
        )
        return count

    def _said_again(self, document: StateDocument) -> Outgoing:
        outgoing = outgoing_document(document, event_id=self._new_id(), now=self._clock())
        return self.leaving(outgoing, key=document.key, order=document.order)

    def _signed(self, outgoing: Outgoing) -> Outgoing:
        return outgoing if self._signer is None else replace(outgoing, record=self._signer.sign(outgoing.record))
