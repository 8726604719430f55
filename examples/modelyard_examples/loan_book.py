"""The loan book: a system of record. It knows the loans, and tells on Kafka when one changes.

    python -m modelyard_examples.loan_book --kafka 127.0.0.1:9092 --directory ./loan-book \\
        --signing-key loan-book-key.json

Routers read a loan's features from it; whoever changes a loan gets the answer after the event about the change
was acknowledged by the broker, so that predictions about the old loan are on their way out.
"""

import argparse
import asyncio
import logging
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from aiokafka.errors import KafkaError
from fastapi import Body, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from modelyard_examples.cloud_events import ENTITY_CHANGES, open_producer, send
from modelyard_examples.loan_announcer import LoanAnnouncer
from modelyard_examples.loan_fields import FieldError, checked_change
from modelyard_examples.loan_store import LOANS_MAX, Loan, LoanNotFoundError, LoanStore
from modelyard_examples.signing import read_signing_key

DRAIN_TIMEOUT_S = 15
REQUESTS_AT_ONCE_MAX = 1_000
NOT_ANNOUNCED = (
    "The change is stored, but the broker has not confirmed the event about it. It is announced as soon as"
    " the broker is back; do not send it again."
)

logger = logging.getLogger(__name__)


class LoanApi:
    """The operations of the loan book. `now` and `new_id` give events their time and their id."""

    def __init__(
        self,
        store: LoanStore,
        *,
        announcer: LoanAnnouncer,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._announcer = announcer
        self._now = now
        self._new_id = new_id

    async def health(self) -> dict[str, object]:
        """Ready, and how many changes wait for the broker."""
        return {"ready": True, "unannounced": len(self._store.list_unannounced())}

    async def list_loans(
        self, purpose: str | None = None, limit: Annotated[int, Query(ge=1, le=LOANS_MAX)] = 100
    ) -> dict[str, object]:
        """The first loans by id, or the first of one purpose."""
        return {"items": [_document(loan) for loan in self._store.list_loans(purpose=purpose, limit=limit)]}

    async def get_loan(self, loan_id: str) -> dict[str, object]:
        """One loan as it now is."""
        return _document(self._store.get_loan(loan_id))

    async def get_features(self, tenant: str, loan_id: str) -> dict[str, object]:
        """What models may know about a tenant's loan, and the version of the loan that says so."""
        loan = self._store.get_loan(loan_id, state=tenant)
        return {"version": loan.version, "features": dict(loan.features)}

    async def change_loan(self, loan_id: str, change: Annotated[dict[str, Any], Body()]) -> dict[str, object]:
        """Change fields of a loan; the answer comes after the event was acknowledged."""
        fields = checked_change(change)
        loan = self._store.change(loan_id, fields, event_id=self._new_id(), changed_at=self._now())
        await self._announcer.announce_loan(loan_id)
        return _document(loan)


def build_app(api: LoanApi) -> FastAPI:
    """The HTTP API. The caller runs the announcer."""
    app = _bare_app()
    _add_operations(app, api)
    return app


def build_server_app(options: argparse.Namespace) -> FastAPI:
    """The app with its file, its producer and its announcer, which open and close with it."""
    topic = options.topic_prefix + ENTITY_CHANGES
    key = read_signing_key(options.signing_key) if options.signing_key else None

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with _open_store(options.directory) as store:
            async with open_producer(options.kafka) as producer, asyncio.TaskGroup() as tasks:
                announcer = LoanAnnouncer(store, announce=partial(send, producer, topic=topic, signing_key=key))
                _add_operations(app, LoanApi(store, announcer=announcer, now=_utc_now, new_id=_new_id))
                announcing = tasks.create_task(announcer.run())
                yield
                announcing.cancel()

    app = _bare_app()
    app.router.lifespan_context = lifespan
    return app


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # While a broker is away aiokafka logs several lines for each attempt; the announcer says it once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    uvicorn.run(
        build_server_app(options),
        host=options.host,
        port=options.port,
        access_log=False,
        log_config=None,
        limit_concurrency=REQUESTS_AT_ONCE_MAX,
        timeout_graceful_shutdown=DRAIN_TIMEOUT_S,
    )
    return 0


def _bare_app() -> FastAPI:
    app = FastAPI(title="Modelyard example loan book")
    app.add_exception_handler(LoanNotFoundError, _not_found)
    app.add_exception_handler(FieldError, _not_acceptable)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(KafkaError, _not_announced)
    app.add_exception_handler(TimeoutError, _not_announced)
    return app


def _add_operations(app: FastAPI, api: LoanApi) -> None:
    app.add_api_route("/healthz", api.health)
    app.add_api_route("/loans", api.list_loans)
    app.add_api_route("/loans/{loan_id}", api.get_loan)
    app.add_api_route("/loans/{loan_id}", api.change_loan, methods=["PATCH"])
    app.add_api_route("/tenants/{tenant}/loans/{loan_id}/features", api.get_features)


def _open_store(directory: str | None) -> LoanStore:
    store = LoanStore(Path(directory) / "loans.sqlite3" if directory else None)
    if store.is_empty():
        # Imported only now: a loan book that starts again does without the data set and pandas.
        from modelyard_examples.loans import loan_records

        store.fill(loan_records())
    return store


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return str(uuid.uuid4())


def _document(loan: Loan) -> dict[str, object]:
    return {
        "id": loan.id,
        "tenant": loan.state,
        "loan_purpose": loan.loan_purpose,
        "version": loan.version,
        **loan.features,
    }


async def _not_found(_request: Request, error: Exception) -> JSONResponse:
    return _problem(404, title="Loan not found", detail=str(error))


async def _not_acceptable(_request: Request, error: Exception) -> JSONResponse:
    return _problem(422, title="Change not acceptable", detail=str(error))


async def _invalid_request(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return _problem(422, title="Request not valid", detail=f"{place}: {first['msg']}")


async def _not_announced(_request: Request, error: Exception) -> JSONResponse:
    logger.warning("loan_not_announced reason=%s: %s", type(error).__name__, error)
    return _problem(503, title="Change stored, not yet announced", detail=NOT_ANNOUNCED)


def _problem(status: int, *, title: str, detail: str) -> JSONResponse:
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(problem, status_code=status, media_type="application/problem+json")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m modelyard_examples.loan_book", description=__doc__.split("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--kafka", default="127.0.0.1:9092", metavar="HOST:PORT", help="a broker's address")
    parser.add_argument("--signing-key", type=Path, metavar="FILE", help="sign events with the key in this file")
    parser.add_argument("--topic-prefix", default="", help="what the cluster puts before topic names")
    parser.add_argument("--directory", help="where the loans are kept; without it they last one run")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100)
    return parser


if __name__ == "__main__":
    sys.exit(main())
