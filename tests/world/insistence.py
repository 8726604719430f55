"""A caller that sends a request until it has a definite answer, as a good client of the registry does.

The same `Idempotency-Key` goes with each attempt, so that a change whose answer was lost is not made twice; the
same `X-Request-Id` too, so that its audit entries can be found.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import aiohttp

from tests.world.http_client import HttpClient, Reply

PATIENCE_S = 60.0
PAUSE_S = 0.1
READING = ("GET", "HEAD")


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedWrite:
    """A change that the service said it has made."""

    request_id: str
    operation: str


@dataclass(slots=True, kw_only=True)
class InsistentClient:
    """`accepted` are the changes that were answered with a 2xx; `setbacks` counts attempts without an answer."""

    http: HttpClient
    new_name: Callable[[], str]
    accepted: list[AcceptedWrite] = field(default_factory=list)
    setbacks: int = 0

    async def call(
        self,
        method: str,
        path: str,
        document: object = None,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Reply:
        """The first answer that is definite: neither an error of the service nor a lost connection."""
        request_id = self.new_name()
        names = {"x-request-id": request_id, "idempotency-key": request_id, **(headers or {})}
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                reply = await self.http.call(method, path, document, data=data, headers=names, query=query)
            except (aiohttp.ClientError, TimeoutError) as error:
                said = f"{type(error).__name__}: {error}"
            else:
                if reply.status < 500:
                    break
                assert reply.is_problem, reply
                said = str(reply)
            self.setbacks += 1
            assert time.monotonic() < deadline, f"no definite answer within {PATIENCE_S:.0f} s; last: {said}"
            await asyncio.sleep(PAUSE_S)
        if reply.was_accepted and method not in READING:
            self.accepted.append(AcceptedWrite(request_id=request_id, operation=reply.operation))
        return reply
