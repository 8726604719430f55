"""Hashing on the way: what all stores do with the bytes that pass through them."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from modelyard_registry.artifact_stores.ports import HEAD_BYTES, ArtifactDamagedError, artifact_too_large

HASHED_INLINE_BYTES = 64 * 1024
"""Below this a thread costs more than the hash."""


@dataclass(slots=True)
class Proof:
    """What is known of bytes so far: their digest, how many they are, how they begin."""

    size_bytes: int = 0
    head: bytes = b""
    _hasher: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    async def add(self, chunk: bytes) -> None:
        """Take the next bytes into account."""
        self.size_bytes += len(chunk)
        self.head += chunk[: HEAD_BYTES - len(self.head)]
        if len(chunk) <= HASHED_INLINE_BYTES:
            self._hasher.update(chunk)
        else:
            await asyncio.to_thread(self._hasher.update, chunk)

    @property
    def digest(self) -> str:
        """`sha256:` and the hexadecimal digest."""
        return f"sha256:{self._hasher.hexdigest()}"


@dataclass(slots=True, kw_only=True)
class ProvedArtifact:
    """An `IncomingArtifact` of which all bytes have passed through `proof`; `save` keeps them."""

    proof: Proof
    save: Callable[[], Awaitable[None]]

    @property
    def digest(self) -> str:
        """The digest of what came in."""
        return self.proof.digest

    @property
    def size_bytes(self) -> int:
        """How many bytes came in."""
        return self.proof.size_bytes

    @property
    def head(self) -> bytes:
        """How it begins."""
        return self.proof.head

    async def keep(self) -> None:
        """Keep it under its digest."""
        await self.save()


async def proving(chunks: AsyncIterator[bytes], proof: Proof, *, bytes_max: int) -> AsyncGenerator[bytes, None]:
    """The same chunks, taken into account by `proof`. Raises ArtifactTooLargeError beyond `bytes_max`."""
    async for chunk in chunks:
        if proof.size_bytes + len(chunk) > bytes_max:
            raise artifact_too_large(bytes_max)
        await proof.add(chunk)
        yield chunk


async def proved(chunks: AsyncIterator[bytes], *, digest: str) -> AsyncGenerator[bytes, None]:
    """The chunks, each given out when the next one was read, the last when the digest agrees.

    Raises ArtifactDamagedError instead of giving the last one out.
    """
    proof = Proof()
    held: bytes | None = None
    async for chunk in chunks:
        await proof.add(chunk)
        if held is not None:
            yield held
        held = chunk
    if proof.digest != digest:
        raise ArtifactDamagedError(f"The stored bytes of {digest} do not have that digest.")
    if held is not None:
        yield held


async def in_pieces(chunks: AsyncIterator[bytes], *, piece_bytes: int) -> AsyncGenerator[bytes, None]:
    """The same bytes in pieces of exactly `piece_bytes`, but for the last."""
    pending = bytearray()
    async for chunk in chunks:
        pending += chunk
        while len(pending) >= piece_bytes:
            yield bytes(pending[:piece_bytes])
            del pending[:piece_bytes]
    if pending:
        yield bytes(pending)


def key_of(digest: str) -> str:
    """The name under which a store keeps an artifact. Raises ValueError for anything but a digest."""
    algorithm, _, hexadecimal = digest.partition(":")
    if algorithm != "sha256" or len(hexadecimal) != 64 or not hexadecimal.isalnum():
        raise ValueError(f"not a digest: {digest[:100]}")
    return f"{algorithm}/{hexadecimal[:2]}/{hexadecimal}"
