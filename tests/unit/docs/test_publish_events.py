"""The code of the how-to is code: what it signs is what is verified."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "how-to" / "publish-events.md").read_text()
VECTORS: dict[str, Any] = json.loads((ROOT / "tests" / "vectors" / "signing.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["records"], ids=lambda vector: vector["name"])
def test_the_page_signs_as_the_recorded_vectors_say(vector: dict[str, Any]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    page: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, "publish-events.md", "exec"), page)
    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(VECTORS["private_key"]))

    headers = page["proof"](
        private,
        "key-1",
        key=base64.b64decode(vector["key"]),
        value=base64.b64decode(vector["value"]),
        headers=[(name, base64.b64decode(value)) for name, value in vector["headers"]],
    )

    assert headers == [("modelyard_key_id", b"key-1"), ("modelyard_signature", vector["signature"].encode())]
