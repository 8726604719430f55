"""The key that signs a system's routing and access documents: made once in each directory, kept for its owner only."""

import base64
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

KEY_FILE_MODE = 0o600


def ensure_state_key(file: Path) -> str:
    """Make the private key in `file` unless it is there; answers the public key in base64."""
    if not file.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, KEY_FILE_MODE), "wb") as written:
            written.write(pem)
    private = load_pem_private_key(file.read_bytes(), password=None)
    assert isinstance(private, Ed25519PrivateKey), f"{file} holds a key of another kind"
    return base64.b64encode(private.public_key().public_bytes_raw()).decode()
