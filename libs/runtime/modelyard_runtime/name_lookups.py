"""Look-ups of host names, each in a thread, so many at once for each owner: names that hang stop their owner alone."""

import asyncio
import socket
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from weakref import WeakValueDictionary

from aiohttp.abc import ResolveResult

LOOKUPS_MAX = 64
"""Threads. One that hangs ends when the system's resolver gives up, after half a minute by default."""

OWNER_LOOKUPS_MAX = 4
"""Of one owner at once; its further ones wait. Several owners whose names hang leave threads for others."""

LOOKUP_S = 5.0
"""How long a look-up is waited for: what takes longer is as good as unknown."""

OWNER: ContextVar[Hashable] = ContextVar("owner", default=None)
"""On whose behalf the present request is sent; tasks that it starts see it, too."""

_ANSWERED_BY = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class NameLookups:
    """Looks names up with the system's resolver. Close it at the end."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="lookup")
        self._by_owner: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()

    async def resolve(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        """The addresses of a name. Raises OSError when it is unknown, or is not found within `LOOKUP_S`."""
        try:
            async with asyncio.timeout(LOOKUP_S):
                return await self._look_up(host, port, family, place=await self._take_place(OWNER.get()))
        except TimeoutError as error:
            raise OSError(f"the look-up of {host} took more than {LOOKUP_S:g} s") from error

    def close(self) -> None:
        """Look nothing more up; does not wait for what hangs."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _take_place(self, owner: Hashable) -> asyncio.Semaphore:
        place = self._by_owner.get(owner)
        if place is None:
            place = self._by_owner[owner] = asyncio.Semaphore(OWNER_LOOKUPS_MAX)
        await place.acquire()
        return place

    async def _look_up(
        self, host: str, port: int, family: socket.AddressFamily, *, place: asyncio.Semaphore
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()

        def give_back(_: object) -> None:
            # The thread ends later than who waited for it; only then is the place free.
            if not loop.is_closed():
                loop.call_soon_threadsafe(place.release)

        looking = self._threads.submit(
            socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG
        )
        looking.add_done_callback(give_back)
        found = await asyncio.shield(asyncio.wrap_future(looking))
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=family,
                proto=protocol,
                flags=_ANSWERED_BY,
            )
            for family, _, protocol, _, address in found
        ]
