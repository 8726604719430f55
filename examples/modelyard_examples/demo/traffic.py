"""Requests for predictions about real loans, many at a time, and what came of them."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from modelyard_examples.demo.world import World
from modelyard_examples.recipes import MODEL_TYPE
from modelyard_examples.router_client import Prediction, RouterError

CLIENTS = 12

Loan = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that was answered, and how long the caller waited."""

    loan: Loan
    prediction: Prediction
    latency_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Requests that were answered, and those that were not."""

    answered: Sequence[Asked]
    failed: Sequence[RouterError]
    seconds: float

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return len(self.answered) / self.seconds

    def latency_ms(self, share: float) -> float:
        """The latency that this share of the answers stayed below."""
        ordered = sorted(asked.latency_ms for asked in self.answered)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def attributes_of(loan: Loan) -> dict[str, object]:
    """How a request about a loan is routed: the borrower is the unit, the loan the entity."""
    return {
        "model_type": MODEL_TYPE,
        "tenant": loan["state"],
        "industry": loan["loan_purpose"],
        "unit_id": f"borrower-{loan['id']}",
        "entity_type": "loan",
        "entity_id": loan["id"],
    }


async def predict_all(world: World, loans: Iterable[Loan], *, on_answer: Callable[[], None] = lambda: None) -> Traffic:
    """Ask for a prediction about each loan, `CLIENTS` at a time."""
    waiting = list(reversed(list(loans)))
    answered: list[Asked] = []
    failed: list[RouterError] = []

    async def client() -> None:
        while waiting:
            loan = waiting.pop()
            asked_at = time.perf_counter()
            try:
                prediction = await world.router.predict(attributes_of(loan))
            except RouterError as error:
                failed.append(error)
            else:
                latency_ms = (time.perf_counter() - asked_at) * 1_000
                answered.append(Asked(loan=loan, prediction=prediction, latency_ms=latency_ms))
            on_answer()

    started_at = time.perf_counter()
    async with asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(client())
    return Traffic(answered=answered, failed=failed, seconds=time.perf_counter() - started_at)
