"""The transaction of a batch: its offset, its effects and what they say are kept together, or nothing is."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg
from modelyard_runtime.consume import Batch
from modelyard_runtime.errors import PermanentError, TransientError
from modelyard_runtime.problems import ProblemError

from modelyard_registry.inbox.offsets import advance_offset
from modelyard_registry.transactions import RequestContext, Transaction, UnitOfWork

SERVER_ERROR = 500


@asynccontextmanager
async def applied_once(unit_of_work: UnitOfWork, batch: Batch, *, group: str) -> AsyncIterator[Transaction]:
    """The transaction in which a batch is applied; the consumer group's offset is stored in it first.

    Raises PermanentError, TransientError or StaleOffsetError.
    """
    context = RequestContext(
        actor="registry",
        request_id=f"{batch.topic}/{batch.partition}/{batch.first_offset}",
        correlation_id=None,
        causation_id=None,
    )
    with consumer_errors():
        async with unit_of_work(context) as tx:
            await advance_offset(tx.connection, batch, group=group)
            yield tx


@contextmanager
def consumer_errors() -> Iterator[None]:
    """Raise a problem as what it means to a consumer: try again later, or never."""
    try:
        yield
    except ProblemError as problem:
        if problem.status >= SERVER_ERROR:
            raise TransientError(problem.detail) from problem
        raise PermanentError(f"{problem.detail} {problem.fix}", reason=problem.code.replace("-", "_")) from problem
    except asyncpg.DataError as error:
        raise PermanentError(
            f"The database cannot hold a value of the event: {error}", reason="value_refused"
        ) from error
