"""The loan book changes a loan once, counts it, and tells in order; nothing that it stored goes untold."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka.errors import KafkaConnectionError
from modelyard_events.entities import EntityChanged
from modelyard_examples.cloud_events import CloudEvent
from modelyard_examples.loan_announcer import LoanAnnouncer
from modelyard_examples.loan_book import LoanApi, build_app
from modelyard_examples.loan_fields import FIELDS_BY_NAME, Value
from modelyard_examples.loan_store import LoanStore

from tests.serving import serving
from tests.unit.examples.waiting import until

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@dataclass(slots=True)
class Announcements:
    """Where events go instead of a broker."""

    events: list[CloudEvent] = field(default_factory=list)
    is_down: bool = False

    async def send(self, event: CloudEvent) -> None:
        await asyncio.sleep(0)
        if self.is_down:
            raise KafkaConnectionError("no broker")
        self.events.append(event)


@dataclass(slots=True)
class Book:
    http: aiohttp.ClientSession
    url: str
    announcements: Announcements
    announcer: LoanAnnouncer
    store: LoanStore

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.http.get(self.url + path) as answer:
            return answer.status, await answer.json()

    async def patch(self, loan_id: str, change: object) -> tuple[int, Any]:
        async with self.http.patch(f"{self.url}/loans/{loan_id}", json=change) as answer:
            return answer.status, await answer.json()


def a_loan(loan_id: str, *, state: str = "NJ", purpose: str = "credit_card") -> dict[str, Value]:
    values = {
        name: field.choices[0] if field.choices else 0.0 if field.datatype == "FP32" else int(field.minimum)
        for name, field in FIELDS_BY_NAME.items()
    }
    return {"id": loan_id, "state": state, "loan_purpose": purpose, **values}


@asynccontextmanager
async def a_book(path: Path | None = None, *, announcements: Announcements | None = None) -> AsyncIterator[Book]:
    announcements = announcements or Announcements()
    with LoanStore(path) as store:
        if store.is_empty():
            store.fill([a_loan("1"), a_loan("2", state="CA", purpose="car"), a_loan("3", purpose="car")])
        announcer = LoanAnnouncer(store, announce=announcements.send)
        api = LoanApi(store, announcer=announcer, now=lambda: NOW, new_id=lambda: str(uuid.uuid4()))
        async with serving(build_app(api)) as url, aiohttp.ClientSession() as http:
            yield Book(http=http, url=url, announcements=announcements, announcer=announcer, store=store)


@pytest.fixture
async def book() -> AsyncIterator[Book]:
    async with a_book() as opened:
        yield opened


async def test_a_change_raises_the_version_and_is_announced_before_the_answer(book: Book) -> None:
    status, loan = await book.patch("1", {"annual_income": 60_000, "term": 60})

    (event,) = book.announcements.events
    assert (status, loan["version"], loan["annual_income"], loan["term"]) == (200, 2, 60_000.0, 60)
    assert (event.type, event.subject, event.time) == ("entity.changed.v1", "NJ/loan/1", NOW)
    assert EntityChanged.model_validate(event.data) == EntityChanged(
        tenant="NJ", entity_type="loan", entity_id="1", version=2, changed_fields=("annual_income", "term")
    )


async def test_features_carry_the_version_of_the_loan_that_they_describe(book: Book) -> None:
    before = await book.get("/tenants/NJ/loans/1/features")
    await book.patch("1", {"loan_amount": 5_000})

    status, after = await book.get("/tenants/NJ/loans/1/features")

    assert (status, before[1]["version"], after["version"]) == (200, 1, 2)
    assert after["features"] == before[1]["features"] | {"loan_amount": 5_000}
    assert set(after["features"]) == set(FIELDS_BY_NAME)


async def test_a_tenant_sees_only_its_own_loans(book: Book) -> None:
    status, problem = await book.get("/tenants/CA/loans/1/features")

    assert status == 404
    assert "There is no loan '1' of tenant 'CA'." in problem["detail"]


async def test_values_that_a_loan_already_has_are_no_change(book: Book) -> None:
    status, loan = await book.patch("1", {"term": 36})

    assert (status, loan["version"]) == (200, 1)
    assert book.announcements.events == []


@pytest.mark.parametrize("change", [{"term": 60, "loan_amount": -1}, {"interest_rate": 5.0}, {}, []])
async def test_an_unacceptable_change_is_explained_and_changes_nothing(book: Book, change: object) -> None:
    status, problem = await book.patch("1", change)

    assert (status, problem["status"]) == (422, 422)
    assert problem["detail"]
    assert (await book.get("/loans/1"))[1]["version"] == 1
    assert book.announcements.events == []


async def test_loans_are_listed_by_purpose(book: Book) -> None:
    status, page = await book.get("/loans?purpose=car&limit=10")
    first_only = await book.get("/loans?limit=1")

    assert status == 200
    assert [(loan["id"], loan["tenant"]) for loan in page["items"]] == [("2", "CA"), ("3", "NJ")]
    assert [loan["id"] for loan in first_only[1]["items"]] == ["1"]
    assert (await book.get("/loans?limit=0"))[0] == 422
    assert (await book.get("/loans/9"))[0] == 404


async def test_many_changes_at_once_are_announced_once_each_and_in_order_per_loan(book: Book) -> None:
    changes = [("1", amount) for amount in range(1, 41)] + [("2", amount) for amount in range(1, 41)]

    answers = await asyncio.gather(*(book.patch(loan, {"loan_amount": amount}) for loan, amount in changes))

    assert {status for status, _ in answers} == {200}
    for subject in ("NJ/loan/1", "CA/loan/2"):
        versions = [event.data["version"] for event in book.announcements.events if event.subject == subject]
        assert versions == list(range(2, 42))
    assert len({event.id for event in book.announcements.events}) == 80


async def test_versions_and_values_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "book" / "loans.sqlite3"
    async with a_book(path) as book:
        await book.patch("1", {"loan_amount": 1})
        await book.patch("1", {"loan_amount": 2})

    async with a_book(path) as book:
        status, loan = await book.patch("1", {"loan_amount": 3})

    assert (status, loan["version"], loan["loan_amount"]) == (200, 4, 3)


async def test_a_change_that_the_broker_did_not_take_is_announced_after_a_restart_with_its_own_id(
    tmp_path: Path,
) -> None:
    path = tmp_path / "loans.sqlite3"
    async with a_book(path, announcements=Announcements(is_down=True)) as book:
        status, problem = await book.patch("1", {"loan_amount": 1})
        (unannounced,) = book.store.list_unannounced()

    announcements = Announcements()
    async with a_book(path, announcements=announcements) as book, asyncio.TaskGroup() as tasks:
        announcing = tasks.create_task(book.announcer.run())
        await until(lambda: not book.store.list_unannounced())
        announcing.cancel()

    assert status == 503
    assert "do not send it again" in problem["detail"]
    assert [(event.id, event.data["version"]) for event in announcements.events] == [(unannounced.event_id, 2)]


async def test_a_later_change_is_never_announced_before_one_that_waits(book: Book) -> None:
    book.announcements.is_down = True
    await book.patch("1", {"loan_amount": 1})
    book.announcements.is_down = False

    await book.patch("1", {"loan_amount": 2})

    assert [event.data["version"] for event in book.announcements.events] == [2, 3]
