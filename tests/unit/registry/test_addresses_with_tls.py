"""TLS of PostgreSQL and Redis is said in their addresses, and every client that reads these honours it."""

from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yoyo
from modelyard_prediction_cache import connect
from redis.asyncio.connection import SSLConnection

DSN = "postgresql://registry:secret@db.example:5432/modelyard?sslmode=verify-full&sslrootcert={file}"


async def test_the_registry_asks_postgresql_for_the_certificate_that_its_address_names(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere.pem"

    with pytest.raises(FileNotFoundError):
        await asyncpg.connect(DSN.format(file=missing), timeout=1)


def test_migrations_ask_postgresql_for_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def note(**arguments: Any) -> None:
        seen.update(arguments)
        raise ConnectionRefusedError

    monkeypatch.setattr("psycopg.connect", note)
    with pytest.raises(ConnectionRefusedError):
        yoyo.get_backend(DSN.format(file="/ca.pem").replace("postgresql://", "postgresql+psycopg://"))

    assert (seen["sslmode"], seen["sslrootcert"]) == ("verify-full", "/ca.pem")


def test_a_redis_address_names_its_user_and_who_vouches_for_the_server() -> None:
    client = connect("rediss://router:secret@cache.example:6379/0?ssl_ca_certs=/ca.pem", timeout_s=1.0)
    pool = client.connection_pool

    assert pool.connection_class is SSLConnection
    assert pool.connection_kwargs["ssl_ca_certs"] == "/ca.pem"
    assert (pool.connection_kwargs["username"], pool.connection_kwargs["password"]) == ("router", "secret")
    context = SSLConnection(
        **{key: value for key, value in pool.connection_kwargs.items() if key != "retry"}
    ).ssl_context
    assert context.check_hostname
