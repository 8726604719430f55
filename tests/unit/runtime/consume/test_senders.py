"""Who may send an event: a rule of the key, the topic, what the event is about, and the time."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from modelyard_events.access import SigningKeyChanged
from modelyard_events.codec import Received, Record, decode, encode
from modelyard_events.entities import EntityChanged
from modelyard_events.envelope import Envelope
from modelyard_events.event import Event
from modelyard_events.signing import Signed
from modelyard_events.topics import ENTITY_CHANGES, TRAINING_RUNS, Topic
from modelyard_events.training import TrainingRunCompleted
from modelyard_runtime.access.signing_keys import SigningKeys
from modelyard_runtime.consume import (
    Batch,
    DeadLetters,
    RefusedSender,
    Sender,
    Senders,
    build_broker,
    consume_batches,
)
from modelyard_runtime.consume.senders import (
    WAITS_MAX,
    SenderNotPermittedError,
    SenderUnprovedError,
    UnknownKeyError,
    find_refusal,
    fits,
    refuse_other_projects,
)
from modelyard_runtime.kafka_connection import KafkaConnection
from modelyard_runtime.settings import IngestSettings
from pydantic import ValidationError

from tests.world.signing import Signer, a_signer

NOW = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
RUN = TrainingRunCompleted(project="bank", model="risk", run_id="r", digest=f"sha256:{'0' * 64}")
CHANGE = EntityChanged(tenant="CA", entity_type="loan", entity_id="1")


def a_key(**facts: Any) -> SigningKeyChanged:
    document = {
        "key_id": "key-1",
        "public_key": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        "actor": "nightly",
        "project": "bank",
        "topics": (TRAINING_RUNS.name, ENTITY_CHANGES.name),
        "expires_at": NOW + timedelta(hours=1),
    }
    return SigningKeyChanged.model_validate({**document, **facts})


def test_a_signature_that_anyone_can_make_for_a_key_of_small_order_proves_nothing() -> None:
    neutral = (1).to_bytes(32, "little")
    forged = Signed(key_id="key-1", signature=neutral + bytes(32), message=b"anything")
    Ed25519PublicKey.from_public_bytes(neutral).verify(forged.signature, forged.message)  # Mathematics alone takes it.

    assert not fits(forged, public_key=base64.b64encode(neutral).decode())


@pytest.mark.parametrize(
    ("key", "topic", "event"),
    [
        (a_key(), TRAINING_RUNS, RUN),
        (a_key(project="*"), TRAINING_RUNS, RUN),
        (a_key(project="*"), ENTITY_CHANGES, CHANGE),
        (a_key(tenants=("CA", "NY")), ENTITY_CHANGES, CHANGE),
        (a_key(project="*", tenants=("CA",)), ENTITY_CHANGES, CHANGE),
    ],
)
def test_a_live_key_speaks_for_its_project_or_tenants(key: SigningKeyChanged, topic: Topic, event: Event) -> None:
    assert find_refusal(key, topic=topic, event=event, now=NOW) is None


@pytest.mark.parametrize(
    ("key", "topic", "event", "why"),
    [
        (a_key(revoked=True), TRAINING_RUNS, RUN, "revoked"),
        (a_key(expires_at=NOW), TRAINING_RUNS, RUN, "expired"),
        (a_key(project="shop"), TRAINING_RUNS, RUN, "belongs to the project shop"),
        (a_key(topics=(ENTITY_CHANGES.name,)), TRAINING_RUNS, RUN, "may not sign events on training-runs.v1"),
        (a_key(), ENTITY_CHANGES, CHANGE, "does not speak for CA"),
        (a_key(tenants=("NY",)), ENTITY_CHANGES, CHANGE, "does not speak for CA"),
        (a_key(project="*", tenants=("NY",)), ENTITY_CHANGES, CHANGE, "does not speak for CA"),
    ],
)
def test_any_other_key_is_refused_with_the_reason(key: SigningKeyChanged, topic: Topic, event: Event, why: str) -> None:
    assert why in (find_refusal(key, topic=topic, event=event, now=NOW) or "")


def test_an_unsigned_event_counts_only_where_the_broker_keeps_others_out() -> None:
    refuse_other_projects(RUN, topic=TRAINING_RUNS, open_to="bank")
    refuse_other_projects(RUN, topic=TRAINING_RUNS, open_to="*")
    refuse_other_projects(CHANGE, topic=ENTITY_CHANGES, open_to="*")

    with pytest.raises(SenderNotPermittedError, match="for the project shop only"):
        refuse_other_projects(RUN, topic=TRAINING_RUNS, open_to="shop")


@pytest.mark.parametrize(
    "projects", [{"routes.v1": "*"}, {"training-runs": "bank"}, {"entity-changes.v1": "bank"}, {"training-runs.v1": ""}]
)
def test_a_mapping_that_could_hold_nobody_is_refused_at_the_start(projects: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="ingest_projects"):
        IngestSettings(ingest_projects=projects)


def test_a_revoked_key_stays_so_whatever_comes_later_and_an_older_document_changes_nothing() -> None:
    keys = SigningKeys()

    keys.take_in(a_key(actor="new"), order=(1, 2))
    keys.take_in(a_key(actor="old"), order=(1, 1))
    before = keys.find("key-1")
    keys.take_in(a_key(revoked=True), order=(1, 3))
    keys.take_in(a_key(), order=(2, 1))
    after = keys.find("key-1")

    assert before is not None
    assert (before.actor, before.revoked) == ("new", False)
    assert after is not None
    assert after.revoked


def a_record(signer: Signer | None) -> Record:
    envelope = Envelope(id="event-1", source="/jobs", type=RUN.type, subject="bank/risk", occurred_at=NOW)
    record = encode(RUN, envelope)
    return record if signer is None else signer.sign(record)


async def proved(record: Record, *, keys: list[SigningKeyChanged], attempt: int = 9, open_to: str | None = None) -> Any:
    """What the judge of training runs says, and whom it reported."""
    refused: list[RefusedSender] = []
    known = {key.key_id: key for key in keys}

    async def find_key(key_id: str) -> SigningKeyChanged | None:
        return known.get(key_id)

    async def on_refused(refusal: RefusedSender) -> None:
        refused.append(refusal)

    senders = Senders(
        TRAINING_RUNS,
        find_key=find_key,
        ingest_projects={} if open_to is None else {TRAINING_RUNS.name: open_to},
        clock=lambda: NOW,
        key_attempts_max=3,
        on_refused=on_refused,
    )
    received = decode(record)
    assert isinstance(received, Received)
    try:
        identity = senders.find_vouched(record) or await senders.identify(record, attempt=attempt)
    except (SenderUnprovedError, UnknownKeyError) as error:
        return type(error), refused
    try:
        return senders.permit(identity, received.event), refused
    except SenderNotPermittedError as error:
        await senders.report(identity, received, detail=str(error))
        return type(error), refused


async def test_whoever_signed_is_the_sender_also_on_a_topic_that_is_open() -> None:
    signer = a_signer("key-1")
    key = a_key(public_key=signer.public_key)

    assert await proved(a_record(signer), keys=[key]) == (Sender(actor=key.qualified_actor, key_id="key-1"), [])
    assert key.qualified_actor == f"{key.project}/nightly"
    assert await proved(a_record(None), keys=[key], open_to="*") == (None, [])
    assert await proved(a_record(None), keys=[key]) == (SenderUnprovedError, [])
    refusal, _ = await proved(a_record(a_signer("key-1")), keys=[key], open_to="*")
    assert refusal is SenderUnprovedError, "a signature is judged, not overlooked"


async def test_a_key_that_is_not_known_yet_is_waited_for_and_then_given_up() -> None:
    signer = a_signer("key-1")

    assert (await proved(a_record(signer), keys=[], attempt=2))[0] is UnknownKeyError
    assert (await proved(a_record(signer), keys=[], attempt=3))[0] is SenderUnprovedError


async def test_invented_keys_are_soon_not_waited_for_any_more() -> None:
    moments = [NOW]

    async def find_key(_key_id: str) -> None:
        return None

    senders = Senders(
        TRAINING_RUNS, find_key=find_key, ingest_projects={}, clock=lambda: moments[-1], key_attempts_max=3
    )

    async def outcome_of_the_first_attempt(number: int) -> type[Exception]:
        record = a_record(a_signer(f"invented-{number}"))
        with pytest.raises((UnknownKeyError, SenderUnprovedError)) as refusal:
            await senders.identify(record, attempt=1)
        return refusal.type

    outcomes = [await outcome_of_the_first_attempt(number) for number in range(WAITS_MAX + 3)]
    moments.append(NOW + timedelta(minutes=1))
    later = await outcome_of_the_first_attempt(0)

    assert outcomes == [UnknownKeyError] * WAITS_MAX + [SenderUnprovedError] * 3
    assert later is UnknownKeyError


async def test_only_the_refusal_of_a_known_holder_is_reported() -> None:
    signer = a_signer("key-1")
    key = a_key(public_key=signer.public_key, project="shop")

    outcome, reported = await proved(a_record(signer), keys=[key])
    forged, unreported = await proved(a_record(a_signer("key-1")), keys=[key])

    assert (outcome, [each.key for each in reported]) == (SenderNotPermittedError, [key])
    assert (forged, unreported) == (SenderUnprovedError, [])


async def test_a_proof_does_not_fit_another_record() -> None:
    signer = a_signer("key-1")
    whole = a_record(signer)
    moved = replace(whole, key=b"bank/other")

    assert (await proved(moved, keys=[a_key(public_key=signer.public_key)]))[0] is SenderUnprovedError


def test_a_topic_that_others_write_to_is_not_subscribed_to_without_a_judge() -> None:
    async def ignore(_batch: Batch) -> None:
        return None

    with pytest.raises(ValueError, match="others write to"):
        consume_batches(
            build_broker(kafka=KafkaConnection(bootstrap="127.0.0.1:1"), client_id="test"),
            TRAINING_RUNS,
            prefix="",
            group="test",
            on_batch=ignore,
            start_offsets=None,
            dead_letters=DeadLetters(None),
            clock=lambda: NOW,
        )
