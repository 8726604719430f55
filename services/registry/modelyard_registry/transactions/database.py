"""PostgreSQL: the connection pool with its limits, the migrations, and what its errors mean to a caller."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

import asyncpg
import psycopg
import stamina
import structlog
import yoyo
from modelyard_runtime.health import HealthCheck
from modelyard_runtime.problems import InvalidRequestError, UnavailableError
from pydantic_core import from_json

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
"""A connection lent by the pool."""

CONNECTIONS_MIN = 2
CONNECTIONS_MAX = 20
CONNECT_TIMEOUT_S = 5.0
START_WAIT_S = 60.0
ACQUIRE_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 15.0
# The server gives up before we do, so that an answer which nobody waits for any more takes no locks.
STATEMENT_TIMEOUT_MS = 10_000
LOCK_TIMEOUT_MS = 8_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 30_000
PROBE_INTERVAL_S = 1.0

MIGRATIONS = Path(__file__).parents[1] / "migrations"
MIGRATION_LOCK = 0x6D6F64656C  # "model": any number that is ours alone in this database.

log = structlog.get_logger()


class DatabaseUnavailableError(UnavailableError):
    """The database cannot be reached, or is too busy."""

    code = "database-unavailable"
    when = "The database did not answer in time, or gave no connection."
    fix = "Send the same request again in a moment, with the same Idempotency-Key if it had one."


class Database:
    """The pool of connections. Use as an async context manager; healthy while a probe gets its answer.

    `jsonb` columns are read and written as Python values, `uuid` columns as `uuid.UUID`.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._failure = "not connected yet"

    async def __aenter__(self) -> Self:
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=CONNECTIONS_MIN,
            max_size=CONNECTIONS_MAX,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            init=_speak_json,
            reset=_leave_as_it_is,
            server_settings={
                "application_name": "modelyard-registry",
                "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                "lock_timeout": str(LOCK_TIMEOUT_MS),
                "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_TIMEOUT_MS),
            },
        )
        self._failure = ""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            try:
                async with asyncio.timeout(ACQUIRE_TIMEOUT_S):
                    await self._pool.close()
            except TimeoutError:
                self._pool.terminate()

    def acquire(self) -> AbstractAsyncContextManager[Connection]:
        """A connection for the length of a block; waits at most `ACQUIRE_TIMEOUT_S` for a free one."""
        if self._pool is None:
            raise RuntimeError("Database is an async context manager; enter it first")
        return self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """A connection to read with, outside any transaction. Raises DatabaseUnavailableError."""
        with database_errors():
            async with self.acquire() as connection:
                yield connection

    async def watch(self) -> None:
        """Ask the database every second whether it is there, for `check`; runs until cancelled."""
        while True:
            try:
                with database_errors():
                    async with asyncio.timeout(CONNECT_TIMEOUT_S), self.reading() as connection:
                        await connection.execute("SELECT 1")
                self._failure = ""
            except (DatabaseUnavailableError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                self._failure = str(error)
            await asyncio.sleep(PROBE_INTERVAL_S)

    def check(self) -> HealthCheck:
        """Healthy when the last probe was answered."""
        return HealthCheck(name="database", ok=not self._failure, detail=self._failure)


async def _speak_json(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        # The standard library writes: it refuses what is no number in JSON. It reads five times as slowly as this.
        encoder=lambda value: json.dumps(value, allow_nan=False),
        decoder=from_json,
    )


async def _leave_as_it_is(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    # What the driver would ask the server to do at each release. Nobody here changes a session: settings and
    # advisory locks are a transaction's own, and one that is left open is rolled back all the same.
    return None


ERROR_CHARS_MAX = 500

_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InternalClientError,  # The server's farewell and our next statement crossed each other.
    OSError,
    TimeoutError,
)


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn the driver's errors into problems.

    "Away or too busy" becomes DatabaseUnavailableError (503: the same request may work in a moment), and
    a value that PostgreSQL cannot store InvalidRequestError. The bounds of `modelyard_events.limits` hold such
    values back at the door: one that comes so far is logged as a fault of ours.
    """
    try:
        yield
    except _AWAY as error:
        log.warning("database_unavailable", error=repr(error))
        raise _unavailable() from error
    except asyncpg.InterfaceError as error:
        # The driver has one class for "the connection is closed" and for our own mistakes.
        if "clos" not in str(error):
            raise
        log.warning("database_unavailable", error=repr(error))
        raise _unavailable() from error
    except (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError) as error:
        raise _unstorable() from error
    except UnicodeEncodeError as error:
        raise _unstorable() from error
    except (asyncpg.DataError, asyncpg.ProgramLimitExceededError) as error:
        log.error("value_beyond_bounds", error=str(error)[:ERROR_CHARS_MAX])
        raise InvalidRequestError(
            "A number, moment or text in the request is larger than the database can hold.",
            fix="Send a smaller one; tell the operators which request it was, for it should have been refused by name.",
        ) from error


def _unavailable() -> DatabaseUnavailableError:
    return DatabaseUnavailableError("The database did not answer in time; nothing is known to have changed.")


def _unstorable() -> InvalidRequestError:
    return InvalidRequestError(
        "A text in the request holds a character that cannot be stored (NUL or half a surrogate pair).",
        fix="Remove that character and send the request again.",
    )


async def migrate(dsn: str) -> None:
    """Bring the schema up to date. Two registries that start at once take turns.

    A database that is not there yet is waited for, a minute at most: everything may start at once.
    """
    async for attempt in stamina.retry_context(
        on=psycopg.OperationalError, attempts=None, timeout=START_WAIT_S, wait_initial=0.1, wait_max=1.0
    ):
        with attempt:
            await asyncio.to_thread(_migrate, dsn)


def _migrate(dsn: str) -> None:
    # yoyo's own lock is a row that a killed process leaves behind; an advisory lock dies with its session.
    with psycopg.connect(dsn, autocommit=True, connect_timeout=int(CONNECT_TIMEOUT_S)) as session:
        session.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        scheme, _, rest = dsn.partition("://")
        backend = yoyo.get_backend(f"{scheme}+psycopg://{rest}")
        try:
            pending = backend.to_apply(yoyo.read_migrations(str(MIGRATIONS)))
            backend.apply_migrations(pending)
            log.info("schema_migrated", applied=[migration.id for migration in pending])
        finally:
            backend.connection.close()
