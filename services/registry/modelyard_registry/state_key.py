"""`python -m modelyard_registry.state_key make|show FILE`: the key that signs routing and access documents.

Both print the public key, which every reader needs in MODELYARD_STATE_KEYS; the private one stays in the file.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from modelyard_runtime.state.keys import StateKeyError, make_key_file, read_key_file


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a key, or show the public half of one. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m modelyard_registry.state_key", description=__doc__)
    parser.add_argument("action", choices=("make", "show"))
    parser.add_argument("file", type=Path, help="the private key in PEM, for MODELYARD_STATE_KEY_FILE")
    given = parser.parse_args(arguments)
    try:
        signer = make_key_file(given.file) if given.action == "make" else read_key_file(given.file)
    except StateKeyError as error:
        print(error, file=sys.stderr)
        return 1
    print(signer.public_key)
    return 0


if __name__ == "__main__":
    sys.exit(main())
