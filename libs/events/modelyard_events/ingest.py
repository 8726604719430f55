"""The base of events that others send: taken at their word, or refused."""

from typing import Self

from modelyard_events.event import Event
from modelyard_events.exact_values import ExactValue
from modelyard_events.strict_json import read_json

NODES_MAX = 20_000
"""Values in one event: three times what large evidence has, and read within a few hundredths of a second."""


class IngestEvent(Event, ExactValue):
    """A fact that others send: an unknown field is refused by name, nothing is converted or chosen among."""

    @classmethod
    def from_json(cls, raw: bytes) -> Self:
        """The event that others wrote. Raises JsonRefusedError, ValidationError."""
        read_json(raw, nodes_max=NODES_MAX)
        return cls.model_validate_json(raw)
