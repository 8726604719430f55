"""Identity as an argument: whatever makes a new thing is given a way to name it."""

from collections.abc import Callable

import uuid_utils

NewId = Callable[[], str]
"""Answers an identifier that was never given before."""


def new_uuid7() -> str:
    """A UUIDv7 in its canonical text form: ordered by time, so that it is kind to indexes."""
    return str(uuid_utils.uuid7())
