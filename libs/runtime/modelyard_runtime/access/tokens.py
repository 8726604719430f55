"""API tokens: what they look like, how one is made, and what is kept of one.

`mly_<30 letters and digits>_<6 of checksum>`: the prefix lets scanners of leaked secrets find it, the checksum
lets anyone tell a typing error from an unknown token, and 178 random bits leave nothing to guess.
"""

import re
import secrets
import string
import zlib
from collections.abc import Callable

PREFIX = "mly"
LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
SECRET_LETTERS = 30
CHECKSUM_LETTERS = 6

Below = Callable[[int], int]
"""Answers an unpredictable number from 0 up to, not including, the one that is given."""

_FORM = re.compile(rf"{PREFIX}_[0-9A-Za-z]{{{SECRET_LETTERS}}}_[0-9A-Za-z]{{{CHECKSUM_LETTERS}}}")


def new_token(*, below: Below = secrets.randbelow) -> str:
    """A token that nobody has had before."""
    secret = "".join(LETTERS[below(len(LETTERS))] for _ in range(SECRET_LETTERS))
    stem = f"{PREFIX}_{secret}"
    return f"{stem}_{_checksum(stem)}"


def is_api_token(text: str) -> bool:
    """Whether the text has a token's form and its checksum is right; says nothing about who holds it."""
    if _FORM.fullmatch(text) is None:
        return False
    stem, _, checksum = text.rpartition("_")
    return checksum == _checksum(stem)


def _checksum(stem: str) -> str:
    number = zlib.crc32(stem.encode())
    letters = []
    for _ in range(CHECKSUM_LETTERS):
        number, place = divmod(number, len(LETTERS))
        letters.append(LETTERS[place])
    return "".join(reversed(letters))
