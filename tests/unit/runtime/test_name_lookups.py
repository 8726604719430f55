"""Names that hang stop whoever gave them, and nobody else."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from modelyard_runtime import name_lookups
from modelyard_runtime.name_lookups import LOOKUPS_MAX, OWNER, OWNER_LOOKUPS_MAX, NameLookups

ADDRESS = "192.0.2.7"


class SlowNames:
    """A resolver for which every name of `slow.example` hangs until `release` is set."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, *_: object) -> list[Any]:
        self.asked.append(host)
        if host.endswith("slow.example"):
            self.release.wait(30)
        if host.startswith("unknown"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ADDRESS, port))]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowNames]:
    names = SlowNames()
    monkeypatch.setattr(socket, "getaddrinfo", names)
    yield names
    names.release.set()


async def look_up(lookups: NameLookups, host: str, *, owner: str) -> list[str]:
    OWNER.set(owner)
    return [each["host"] for each in await lookups.resolve(host, 80, socket.AF_INET)]


async def test_names_that_hang_leave_threads_for_other_owners(names: SlowNames) -> None:
    lookups = NameLookups()
    hanging = [
        asyncio.create_task(look_up(lookups, f"{number}.slow.example", owner="acme"))
        for number in range(2 * LOOKUPS_MAX)
    ]
    await asyncio.sleep(0.05)

    async with asyncio.timeout(5):
        found = await look_up(lookups, "quick.example", owner="globex")

    assert found == [ADDRESS]
    assert sum(host.endswith("slow.example") for host in names.asked) == OWNER_LOOKUPS_MAX
    names.release.set()
    assert await asyncio.gather(*hanging) == [[ADDRESS]] * len(hanging)
    lookups.close()


async def test_a_look_up_that_hangs_is_given_up_and_its_place_is_kept_until_its_thread_ends(
    names: SlowNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_lookups, "LOOKUP_S", 0.05)
    lookups = NameLookups()
    for number in range(OWNER_LOOKUPS_MAX + 1):
        with pytest.raises(OSError, match="took more than"):
            await look_up(lookups, f"{number}.slow.example", owner="acme")
    assert len(names.asked) == OWNER_LOOKUPS_MAX

    names.release.set()
    await asyncio.sleep(0.1)
    monkeypatch.setattr(name_lookups, "LOOKUP_S", 5.0)

    assert await look_up(lookups, "quick.example", owner="acme") == [ADDRESS]
    lookups.close()


async def test_an_unknown_name_is_an_error_and_takes_no_place(names: SlowNames) -> None:
    lookups = NameLookups()
    for _ in range(2 * OWNER_LOOKUPS_MAX):
        with pytest.raises(socket.gaierror):
            await look_up(lookups, "unknown.example", owner="acme")

    assert await look_up(lookups, "quick.example", owner="acme") == [ADDRESS]
    lookups.close()
