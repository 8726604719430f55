"""The one way to a URL that somebody gave us: allow-listed networks, pinned addresses, no redirects.

A name is resolved once, each address is judged, and the connection goes to an address that was judged:
a name that points elsewhere a moment later gains nothing.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Hashable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from modelyard_runtime.errors import PermanentError, TransientError
from modelyard_runtime.name_lookups import OWNER, NameLookups
from modelyard_runtime.public_addresses import is_public, reached_by, strange_host
from modelyard_runtime.shares import Shares

BYTES_MAX = 10 * 1024 * 1024
CONNECTIONS_MAX = 512
HOST_CONNECTIONS_MAX = 192
"""Of one owner to one host: what an owner alone may hold, less a quarter for its other hosts."""

DNS_CACHE_S = 10

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class FetchRefusedError(PermanentError):
    """The URL leads to an address that this service may not ask."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, reason="fetch_refused")


class FetchFailedError(TransientError):
    """The other side could not be reached, or broke off."""


class FetchUnreachableError(FetchFailedError):
    """Nothing took the connection, or its name is unknown: no request reached the other side."""


class FetchTimeoutError(TransientError):
    """The other side did not answer within the deadline."""


class FetchTooLargeError(PermanentError):
    """The answer is larger than this service reads."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, reason="answer_too_large")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """An HTTP answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Fetcher:
    """Sends requests to URLs that others chose. Use as an async context manager.

    `allow` lists CIDR blocks that may be asked besides public addresses. Requests with an `owner` share
    `connections_max` places with the others; those of the service itself have none.
    """

    def __init__(self, *, allow: Sequence[str] = (), connections_max: int = CONNECTIONS_MAX) -> None:
        self._shares = Shares(places=connections_max)
        self._host_shares = Shares(places=connections_max, most=HOST_CONNECTIONS_MAX)
        self._networks: tuple[Network, ...] = tuple(ipaddress.ip_network(block) for block in allow)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            # Who waits for a connection would wait behind others: the shares refuse instead.
            resolver=_JudgingResolver(self),
            limit=0,
            ttl_dns_cache=DNS_CACHE_S,
        )
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def permits(self, address: str) -> bool:
        """Whether requests may go to this IP address."""
        ip = ipaddress.ip_address(address)
        return is_public(ip) or any(
            candidate in network
            for network in self._networks
            for candidate in (ip, reached_by(ip))
            if network.version == candidate.version
        )

    def refuse_unless_allowed(self, url: str) -> URL:
        """The parsed URL. Raises FetchRefusedError when its scheme, form or literal address is refused."""
        try:
            parsed = URL(url)
        except ValueError as error:
            raise FetchRefusedError(f"not a URL: {url[:200]}") from error
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise FetchRefusedError(f"not an http or https URL: {url[:200]}")
        if parsed.user is not None or parsed.password is not None:
            raise FetchRefusedError("a URL must not carry credentials")
        if (problem := strange_host(url)) is not None:
            raise FetchRefusedError(f"{url[:200]!r} is not taken: {problem}")
        if _is_address(parsed.host) and not self.permits(parsed.host):
            raise FetchRefusedError(_refusal(parsed.host))
        return parsed

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        timeout_s: float,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        bytes_max: int = BYTES_MAX,
        owner: Hashable | None = None,
    ) -> Fetched:
        """Send one request and read its answer, whatever its status. `owner` is on whose behalf.

        Raises FetchRefusedError, FetchTimeoutError, FetchFailedError or FetchTooLargeError; at once ShareUsedUpError
        when the owner has too many requests under way.
        """
        if self._session is None:
            raise RuntimeError("Fetcher is an async context manager; enter it first")
        target = self.refuse_unless_allowed(url)
        OWNER.set(owner)
        with ExitStack() as held:
            if owner is not None:
                held.enter_context(self._shares.holding(owner))
                held.enter_context(self._host_shares.holding((owner, target.host)))
            try:
                async with (
                    asyncio.timeout(timeout_s),
                    self._session.request(method, target, data=body, headers=headers, allow_redirects=False) as answer,
                ):
                    content = await _read(answer, bytes_max=bytes_max)
                    return Fetched(status=answer.status, headers=answer.headers, body=content)
            except TimeoutError as error:
                raise FetchTimeoutError(f"{target.host} did not answer within {timeout_s:g} s") from error
            except (aiohttp.ClientError, OSError) as error:
                raise _failure(error, target) from error


def _failure(error: Exception, target: URL) -> FetchRefusedError | FetchFailedError:
    refused = error if isinstance(error, _AddressRefusedError) else error.__cause__
    if isinstance(refused, _AddressRefusedError):
        return FetchRefusedError(str(refused))
    kind = FetchUnreachableError if isinstance(error, aiohttp.ClientConnectorError) else FetchFailedError
    return kind(f"{target.host}:{target.port}: {error}")


async def _read(response: aiohttp.ClientResponse, *, bytes_max: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > bytes_max:
            raise FetchTooLargeError(f"the answer has more than {bytes_max} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _refusal(host: str) -> str:
    return f"requests to {host} are not allowed; MODELYARD_OUTBOUND_ALLOW lists the networks that are"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class _AddressRefusedError(OSError):
    pass


class _JudgingResolver(AbstractResolver):
    """Resolves names and hands on only the addresses that may be asked."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._lookups = NameLookups()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._lookups.resolve(host, port, family)
        allowed = [result for result in found if self._fetcher.permits(result["host"])]
        if not allowed:
            raise _AddressRefusedError(_refusal(host))
        return allowed

    async def close(self) -> None:
        self._lookups.close()
