"""How a sender proves that an event is theirs, with nothing but the `cryptography` package: copy `SenderKey`.

    python -m modelyard_examples.signing training-key.json --topic training-runs.v1 --actor nightly-training \\
        --registry http://127.0.0.1:8080 --token …

makes a key pair, registers its public half with the token of whoever manages access, and writes the private half
to a file that only its owner can read. The private half never leaves that file's machine.
"""

import argparse
import asyncio
import base64
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from modelyard_examples.registry_client import RegistryClient, RegistryError

LABEL = b"modelyard-signed-event.v1"
LIFETIME_DAYS = 30
OWNER_ONLY = 0o600

Headers = Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderKey:
    """A private key, and the id under which the registry knows its public half."""

    key_id: str
    private: Ed25519PrivateKey

    def proof(self, *, key: bytes, value: bytes, headers: Headers) -> list[tuple[str, bytes]]:
        """The two headers that prove a Kafka record to be ours; they go to its other headers."""
        lowered = [(name.lower(), text) for name, text in headers]
        covered = sorted(each for each in lowered if each[0] == "content-type" or each[0].startswith("ce_"))
        parts = [LABEL, key, value, *(part for name, text in covered for part in (name.encode(), text))]
        signature = self.private.sign(b"".join(len(part).to_bytes(8, "big") + part for part in parts))
        return [("modelyard_key_id", self.key_id.encode()), ("modelyard_signature", base64.b64encode(signature))]

    def write(self, path: Path) -> None:
        """Keep the key in a file that only its owner can read."""
        private = base64.b64encode(self.private.private_bytes_raw()).decode()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "w") as opened:
            json.dump({"key_id": self.key_id, "private_key": private}, opened)


def read_signing_key(path: Path) -> SenderKey:
    """The key in a file that `SenderKey.write` wrote."""
    kept = json.loads(path.read_text())
    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(kept["private_key"]))
    return SenderKey(key_id=kept["key_id"], private=private)


async def register_signing_key(
    registry: RegistryClient, *, actor: str, project: str, topics: Sequence[str], expires_at: datetime
) -> SenderKey:
    """Make a key pair and have its public half registered; `project` may be `*` for all. Raises RegistryError."""
    private = Ed25519PrivateKey.generate()
    registered = await registry.register_signing_key(
        {
            "actor": actor,
            "project": project,
            "topics": list(topics),
            "public_key": base64.b64encode(private.public_key().public_bytes_raw()).decode(),
            "expires_at": expires_at.isoformat(),
        }
    )
    return SenderKey(key_id=registered["key_id"], private=private)


def main(arguments: list[str] | None = None) -> int:
    """Make, register and keep a key; answers the exit code: 0 registered, 1 refused or out of reach."""
    options = _parser().parse_args(arguments)
    try:
        key = asyncio.run(_register(options))
    except (RegistryError, aiohttp.ClientError, TimeoutError) as error:
        print(f"not registered: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    key.write(options.file)
    print(f"registered the key {key.key_id}; its private half is in {options.file}")
    return 0


async def _register(options: argparse.Namespace) -> SenderKey:
    async with RegistryClient(options.registry, token=options.token) as registry:
        return await register_signing_key(
            registry,
            actor=options.actor,
            project=options.project,
            topics=options.topic,
            expires_at=datetime.now(UTC) + timedelta(days=options.days),
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m modelyard_examples.signing", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("file", type=Path, help="where to keep the private half")
    parser.add_argument("--registry", default="http://127.0.0.1:8080", help="the registry's address")
    parser.add_argument(
        "--token", default=os.environ.get("MODELYARD_TOKEN", ""), help="bearer token (or MODELYARD_TOKEN)"
    )
    parser.add_argument("--actor", required=True, help="in whose name the events count")
    parser.add_argument("--project", default="default", help="the project that they are about, or * for all")
    parser.add_argument("--topic", action="append", required=True, help="a topic to sign for; may be given again")
    parser.add_argument("--days", type=int, default=LIFETIME_DAYS, help="how long the key lasts (default %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
