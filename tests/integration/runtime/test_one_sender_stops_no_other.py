"""A sender's own mistakes count for that sender alone: whatever one sends, a sound event of another is handled."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from modelyard_events.access import SigningKeyChanged
from modelyard_events.codec import encode
from modelyard_events.limits import PAYLOAD_BYTES_MAX
from modelyard_events.record import Record
from modelyard_events.topics import ENTITY_CHANGES
from modelyard_runtime.clock import utc_now
from modelyard_runtime.consume import Batch, ConsumePolicy, Delivery, Senders
from modelyard_runtime.consume.metrics import CONSUMED
from modelyard_runtime.errors import PermanentError

from tests.integration.runtime.corner import Corner, an_entity_changed, an_envelope, eventually, number_of
from tests.world.signing import Signer, a_signer

pytestmark = pytest.mark.integration

QUICK = ConsumePolicy(backoff_initial_s=0.02, backoff_max_s=0.1, commit_interval_s=0.05)


class Bank:
    """Two senders on one partition, whose keys are known, and what was handled of their events."""

    def __init__(self, corner: Corner) -> None:
        self.signers = {name: a_signer(f"key-of-{name}") for name in ("ada", "eve", "mal", "sid")}
        keys = {signer.key_id: _key(signer, actor=name) for name, signer in self.signers.items()}

        async def find_key(key_id: str) -> SigningKeyChanged | None:
            return keys.get(key_id)

        senders = Senders(ENTITY_CHANGES, find_key=find_key, ingest_projects={}, clock=utc_now)
        self.corner = replace(corner, senders=senders)
        self.handled: list[int] = []

    async def send(self, number: int, *, by: str | None, value: bytes | None = None, **headers: bytes) -> None:
        event = an_entity_changed(number)
        record = encode(event, an_envelope(event.type, subject=f"acme/loan/{number}"))
        record = replace(record, value=value or record.value, headers=(*record.headers, *headers.items()))
        await self.send_record(record if by is None else self.signers[by].sign(record))

    async def send_record(self, record: Record) -> None:
        await self.corner.send(record.value, key=record.key, headers=list(record.headers))

    async def on_batch(self, batch: Batch) -> None:
        for delivery in batch.deliveries:
            await self.on_entity_changed(delivery)

    async def on_entity_changed(self, delivery: Delivery[Any]) -> None:
        number = number_of(delivery.event)
        if 500 <= number < 1_000:
            raise PermanentError("its artifact was not uploaded", reason="artifact_not_uploaded")
        if number >= 1_000:
            raise RuntimeError("nobody foresaw this")
        self.handled.append(number)

    def counted(self) -> Mapping[str, float]:
        group = self.corner.group
        return {
            outcome: CONSUMED.labels(ENTITY_CHANGES.name, group, outcome)._value.get()
            for outcome in ("handled", "refused", "parked", "unproved", "unproved_dropped")
        }


def _key(signer: Signer, *, actor: str) -> SigningKeyChanged:
    return SigningKeyChanged(
        key_id=signer.key_id,
        public_key=signer.public_key,
        actor=actor,
        project="*",
        topics=(ENTITY_CHANGES.name,),
        expires_at=utc_now() + timedelta(hours=1),
    )


@pytest.mark.parametrize("in_batches", [False, True])
async def test_a_hundred_refusals_of_one_sender_stop_no_other(corner: Corner, in_batches: bool) -> None:
    bank = Bank(corner)
    for number in range(100):
        await bank.send(500 + number, by="eve")
    await bank.send(7, by="ada")

    opened = (
        bank.corner.consuming_batches(bank.on_batch, policy=QUICK)
        if in_batches
        else bank.corner.consuming(bank.on_entity_changed, policy=QUICK)
    )
    async with opened as consumption:
        await eventually(lambda: 7 in bank.handled)
        await eventually(lambda: consumption.check().ok and not consumption.check().degraded)

    assert bank.counted()["refused"] == 100
    assert await corner.dead_letter_count() == 100


@pytest.mark.parametrize("in_batches", [False, True])
async def test_a_hundred_failures_of_one_senders_records_stop_no_other_and_cost_little(
    corner: Corner, in_batches: bool
) -> None:
    bank = Bank(corner)
    slow = replace(QUICK, backoff_initial_s=0.1, backoff_max_s=10.0)  # The default: 1.5 s for each record.
    for number in range(100):
        await bank.send(1_000 + number, by="eve")
    await bank.send(7, by="ada")

    opened = (
        bank.corner.consuming_batches(bank.on_batch, policy=slow)
        if in_batches
        else bank.corner.consuming(bank.on_entity_changed, policy=slow)
    )
    async with opened as consumption:
        await eventually(lambda: 7 in bank.handled, within_s=25.0)
        await eventually(lambda: not consumption.is_held)

    assert bank.counted()["parked"] == 100


async def test_the_same_surprise_with_many_senders_holds_the_partition(corner: Corner) -> None:
    bank = Bank(corner)
    for number in range(30):
        await bank.send(1_000 + number, by=("ada", "eve", "mal")[number % 3])

    async with bank.corner.consuming_batches(bank.on_batch, policy=QUICK) as consumption:
        await eventually(lambda: consumption.is_held)
        assert consumption.check().degraded

    assert await corner.dead_letter_count() == 20


async def test_a_flood_that_nobody_signed_is_counted_and_only_some_of_it_is_parked(corner: Corner) -> None:
    bank = Bank(corner)
    for number in range(60):
        await bank.send(number + 100, by=None)
    await bank.send(7, by="ada")

    few = replace(QUICK, unproved_parked_per_minute=25)
    async with bank.corner.consuming_batches(bank.on_batch, policy=few) as consumption:
        await eventually(lambda: 7 in bank.handled)
        await eventually(lambda: consumption.check().ok)
        assert not consumption.check().degraded

    counted = bank.counted()
    assert counted["unproved"] + counted["unproved_dropped"] == 60
    assert 25 <= counted["unproved"] <= 30
    assert await corner.dead_letter_count() == counted["unproved"]


async def test_the_most_expensive_records_hold_nobody_else_up(corner: Corner) -> None:
    bank = Bank(corner)
    longest_s = 0.0

    async def watch() -> None:
        nonlocal longest_s
        while True:
            began_s = time.process_time()  # Other processes share this machine.
            await asyncio.sleep(0.001)
            longest_s = max(longest_s, time.process_time() - began_s)

    half = PAYLOAD_BYTES_MAX // 2
    for by in ("eve", None):
        await bank.send(1, by=by, **{f"ce_{number}": b"" for number in range(40_000)})
        await bank.send(1, by=by, value=b"[" * half + b"]" * half)
        await bank.send(1, by=by, value=b'{"a":' * (PAYLOAD_BYTES_MAX // 5))
        await bank.send(1, by=by, value=b"{" + b",".join(b'"%x":0' % each for each in range(19_000)) + b"}")
        await bank.send(1, by=by, value=b"[" + b"1," * half)
    await bank.send(7, by="ada")
    watching = asyncio.create_task(watch())
    async with bank.corner.consuming_batches(bank.on_batch, policy=QUICK):
        await eventually(lambda: 7 in bank.handled)
    watching.cancel()

    counted = bank.counted()
    assert (counted["refused"] + counted["unproved"], counted["parked"]) == (10, 0)
    assert longest_s < 0.1
