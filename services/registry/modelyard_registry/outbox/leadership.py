"""Who may publish: the holder of one session's advisory lock, for as long as that session lives.

A paused process keeps its connection: its kernel goes on answering keepalives. So the session itself is
given a short life (`idle_session_timeout`) that only a running process prolongs, by its heartbeats. The
server ends the session of a process that went silent, the lock is free, and since all of the relay's
reading and deleting goes through that one session, a process that wakes later can touch nothing. What it
had already handed to its producer may still reach Kafka; `repair` is for that.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncpg

LOCK_KEY = 0x6D_6F_64_65_6C_79_61_72  # "modelyar": any constant will do, as long as it never changes.
SESSION_LIFE_S = 3.0
HEARTBEAT_S = 0.5
CERTAIN_FOR_S = 1.5
STATEMENT_TIMEOUT_S = 20.0
CONNECT_TIMEOUT_S = 5.0

T = TypeVar("T")

# The driver's "internal" error is what a process meets that wakes from a pause: the server's farewell and
# the next statement cross each other.
DATABASE_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""What a statement raises when the database, or the way to it, is at fault."""


class LeadershipLostError(Exception):
    """The session that held the relay's lock is gone."""


class LeaderSession:
    """The one connection that the relay works on. Statements take turns; each one is also a heartbeat."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection
        self._turn = asyncio.Lock()
        self._confirmed_at = asyncio.get_running_loop().time()

    async def use(self, work: Callable[["asyncpg.Connection[asyncpg.Record]"], Awaitable[T]]) -> T:
        """Do `work` on the connection, alone. Raises LeadershipLostError when the session is gone."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            started_at = loop.time()
            try:
                async with asyncio.timeout(STATEMENT_TIMEOUT_S):
                    answer = await work(self._connection)
            except DATABASE_ERRORS as error:
                raise LeadershipLostError(f"the leader's session failed: {error!r}") from error
            self._confirmed_at = started_at
            return answer

    async def try_to_lead(self) -> bool:
        """Whether this session holds the lock now."""
        return bool(await self.use(lambda connection: connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY)))

    async def confirm(self) -> None:
        """Make sure that the session lived a moment ago; asks only when the last answer is too old."""
        if asyncio.get_running_loop().time() - self._confirmed_at > CERTAIN_FOR_S:
            await self.use(lambda connection: connection.fetchval("SELECT 1"))

    async def keep_alive(self) -> None:
        """Prolong the session until it ends; then raise LeadershipLostError."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self.use(lambda connection: connection.fetchval("SELECT 1"))


@asynccontextmanager
async def open_session(dsn: str) -> AsyncIterator[LeaderSession]:
    """A session of its own, direct (an advisory lock does not survive a transaction pooler)."""
    life_ms = str(int(SESSION_LIFE_S * 1_000))
    connection = await asyncpg.connect(
        dsn,
        timeout=CONNECT_TIMEOUT_S,
        server_settings={
            "application_name": "modelyard-relay",
            "idle_session_timeout": life_ms,
            "idle_in_transaction_session_timeout": life_ms,
            # A stopped reader of a large answer blocks the server's write: this ends that, too.
            "tcp_user_timeout": life_ms,
            # Losing a deletion only repeats events. Statements that must not be lost say so themselves.
            "synchronous_commit": "off",
        },
    )
    try:
        yield LeaderSession(connection)
    finally:
        await _close(connection)


async def _close(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    # A polite goodbye to a server that is gone would hang until its timeout.
    try:
        await connection.close(timeout=1.0)
    except DATABASE_ERRORS:
        connection.terminate()
