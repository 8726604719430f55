"""The one way to a URL that somebody gave us: allow-listed networks, pinned addresses, no redirects.

A name is resolved once, each address is judged, and the connection goes to an address that was judged:
a name that points elsewhere a moment later gains nothing.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from modelyard_runtime.errors import PermanentError, TransientError

BYTES_MAX = 10 * 1024 * 1024
CONNECTIONS_MAX = 512
DNS_CACHE_S = 10

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class FetchRefusedError(PermanentError):
    """The URL leads to an address that this service may not ask."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, reason="fetch_refused")


class FetchFailedError(TransientError):
    """The other side could not be reached, or broke off."""


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

    `allow` lists CIDR blocks that may be asked besides public addresses.
    """

    def __init__(self, *, allow: Sequence[str] = ()) -> None:
        self._networks: tuple[Network, ...] = tuple(ipaddress.ip_network(block) for block in allow)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            resolver=_JudgingResolver(self), limit=CONNECTIONS_MAX, ttl_dns_cache=DNS_CACHE_S
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
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        return (ip.is_global and not ip.is_multicast) or any(ip in network for network in self._networks)

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
    ) -> Fetched:
        """Send one request and read its answer, whatever its status.

        Raises FetchRefusedError, FetchTimeoutError, FetchFailedError or FetchTooLargeError.
        """
        if self._session is None:
            raise RuntimeError("Fetcher is an async context manager; enter it first")
        target = self.refuse_unless_allowed(url)
        try:
            async with asyncio.timeout(timeout_s):
                async with self._session.request(
                    method, target, data=body, headers=headers, allow_redirects=False
                ) as response:
                    content = await _read(response, bytes_max=bytes_max)
                    return Fetched(status=response.status, headers=response.headers, body=content)
        except TimeoutError as error:
            raise FetchTimeoutError(f"{target.host} did not answer within {timeout_s:g} s") from error
        except _AddressRefusedError as error:
            raise FetchRefusedError(str(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error.__cause__, _AddressRefusedError):
                raise FetchRefusedError(str(error.__cause__)) from error
            raise FetchFailedError(f"{target.host}:{target.port}: {error}") from error


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
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        allowed = [result for result in found if self._fetcher.permits(result["host"])]
        if not allowed:
            raise _AddressRefusedError(_refusal(host))
        return allowed

    async def close(self) -> None:
        await self._resolver.close()
