"""The reference that registering is measured against: MLflow's own server, on the same PostgreSQL.

MLflow lives in a virtual environment of its own in the user's cache directory, made at the first use: it
would bring a hundred packages into ours.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from modelyard_stack.keeper import Command, Keeper
from modelyard_stack.ports import HOST, free_ports
from modelyard_stack.server import KeptServer, NotReadyError
from rich.markup import escape

from benchmarks.report import progress

REQUIREMENTS = ("mlflow==3.17.2", "psycopg2-binary==2.9.13")
DATABASE = "mlflow"
# MLflow's own default, written out because all of them are waited for.
WORKERS = 4
WORKER_IS_UP = "Application startup complete"
# A busy machine must not make uvicorn kill a worker that is merely slow: that would flatter us.
UVICORN_OPTIONS = "--timeout-worker-healthcheck 60"
INSTALL_TIMEOUT_S = 600.0


class NoMlflowError(Exception):
    """MLflow cannot be had on this machine."""


async def ensure_mlflow() -> Path:
    """The Python of an environment that has MLflow, made if need be. Raises NoMlflowError."""
    return await asyncio.to_thread(_ensure_mlflow)


@asynccontextmanager
async def mlflow_server(python: Path, *, keeper: Keeper, postgres_dsn: str, directory: Path) -> AsyncIterator[str]:
    """Run MLflow's server, with as many workers as it chooses itself, on a database of its own; its URL."""
    dsn = await _make_database(postgres_dsn)
    (port,) = free_ports(1)
    program = _Program(python, port=port, dsn=dsn, directory=directory / "mlflow")
    server = KeptServer(program, keeper=keeper, log=directory / "logs" / "mlflow.log")
    await server.start()
    try:
        yield f"http://{HOST}:{port}"
    finally:
        await server.stop()


def _ensure_mlflow() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "modelyard" / "mlflow-venv"
    python, ready = place / "bin" / "python", place / ".ready"
    if ready.exists() and ready.read_text(encoding="utf-8").split() == list(REQUIREMENTS):
        return python
    progress(
        f"register: installing {', '.join(REQUIREMENTS)} into {escape(str(place))} (--without-mlflow does without)"
    )
    try:
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True, timeout=INSTALL_TIMEOUT_S)
        pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--progress-bar", "on"]
        subprocess.run([*pip, *REQUIREMENTS], check=True, timeout=INSTALL_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise NoMlflowError(f"{', '.join(REQUIREMENTS)} cannot be installed: {error}") from error
    ready.write_text("\n".join(REQUIREMENTS), encoding="utf-8")
    return python


async def _make_database(dsn: str) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"CREATE DATABASE {DATABASE}")
    except asyncpg.DuplicateDatabaseError:
        pass  # Somebody else's PostgreSQL, and not the first run on it.
    finally:
        await connection.close()
    # The driver is named: which one stands for "postgresql" depends on the version of SQLAlchemy.
    return urlsplit(dsn)._replace(scheme="postgresql+psycopg2", path=f"/{DATABASE}").geturl()


class _Program:
    """MLflow's server as the stack's keeper runs it."""

    name = "mlflow"
    stop_signal = signal.SIGTERM

    def __init__(self, python: Path, *, port: int, dsn: str, directory: Path) -> None:
        self._python = python
        self._port = port
        self._dsn = dsn
        self._directory = directory
        self._log = directory / "log"

    async def prepare(self, keeper: Keeper, *, log: Path) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._log = log

    def command(self) -> Command:
        options = {
            "--backend-store-uri": self._dsn,
            "--host": HOST,
            "--port": str(self._port),
            "--workers": str(WORKERS),
            "--uvicorn-opts": UVICORN_OPTIONS,
        }
        return Command(
            argv=[str(self._python), "-m", "mlflow", "server", *(word for pair in options.items() for word in pair)],
            directory=self._directory,
            final_signal=signal.SIGTERM,
            environment={
                # It starts uvicorn by that name.
                "PATH": f"{self._python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
                "MLFLOW_DISABLE_TELEMETRY": "true",
            },
        )

    async def probe(self) -> None:
        reader, writer = await asyncio.open_connection(HOST, self._port)
        try:
            writer.write(f"GET /health HTTP/1.0\r\nhost: {HOST}:{self._port}\r\n\r\n".encode())
            status = await reader.readline()
        finally:
            writer.close()
        if b" 200 " not in status:
            raise NotReadyError(status.decode(errors="replace"))
        if self._log.read_text(encoding="utf-8", errors="replace").count(WORKER_IS_UP) < WORKERS:
            raise NotReadyError("not all workers are up")
