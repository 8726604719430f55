"""Nobody is let in by default: the first admin's token is made once and written for its owner."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from modelyard_registry.access.bootstrap import BootstrapTokenNotWrittenError, ensure_admin
from modelyard_registry.transactions import UnitOfWork
from modelyard_runtime.access.permissions import Role
from modelyard_runtime.access.principals import Principals
from modelyard_runtime.ids import new_uuid7
from pydantic import SecretStr

from tests.integration.registry.door import Door

pytestmark = pytest.mark.integration

NOBODY = Principals({})


async def bootstrap(door: Door, file: Path, *, principals: Principals = NOBODY) -> bool:
    """Start a registry that knows these principals, as far as access goes."""
    unit_of_work = UnitOfWork(door.database, clock=door.clock, new_id=new_uuid7, wake=lambda: None)
    return await ensure_admin(unit_of_work, principals=principals, file=file, clock=door.clock, request_id=new_uuid7())


async def test_the_first_start_makes_one_admin_token_that_only_its_owner_reads(door: Door, tmp_path: Path) -> None:
    async with door.database.acquire() as connection:
        await connection.execute("DELETE FROM api_tokens WHERE project = '*'")
    file = tmp_path / "etc" / "first-admin"

    made = await bootstrap(door, file)
    token = file.read_text().strip()
    again = await bootstrap(door, tmp_path / "second")

    assert (made, again, (tmp_path / "second").exists()) == (True, False, False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    admin = replace(door.http, token=token)
    listed = (await admin.call("GET", "/api/v1/access/tokens", query={"project": "*"})).expect(200)["items"]
    assert [(each["actor"], each["roles"]) for each in listed] == [("bootstrap-admin", ["admin"])]
    (await admin.call("DELETE", f"/api/v1/access/tokens/{listed[0]['token_id']}")).expect(200)
    assert (await admin.call("GET", "/api/v1/access/tokens")).status == 401
    assert await bootstrap(door, file), "without any admin left, a restart makes another"


async def test_no_token_is_made_when_the_settings_name_an_admin_or_the_file_cannot_be_written(
    door: Door, tmp_path: Path
) -> None:
    async with door.database.acquire() as connection:
        await connection.execute("DELETE FROM api_tokens WHERE project = '*'")
    blocked = tmp_path / "a-file"
    blocked.write_text("")
    viewer = Principals({"v": SecretStr("v")}, roles={"v": {"*": frozenset({Role.VIEWER})}})

    settings_admin = await bootstrap(door, tmp_path / "t", principals=Principals({"ada": SecretStr("s")}))
    with pytest.raises(BootstrapTokenNotWrittenError, match="MODELYARD_BOOTSTRAP_TOKEN_FILE"):
        await bootstrap(door, blocked / "below", principals=viewer)
    async with door.database.acquire() as connection:
        left = await connection.fetchval("SELECT count(*) FROM api_tokens WHERE project = '*'")

    assert (settings_admin, left) == (False, 0)
