"""The base of every event: a frozen fact with a recorded schema, versioned in its type."""

from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """A frozen part of an event. Unknown fields are ignored: a newer producer may say more.

    A number that JSON cannot say (NaN, infinity) is refused: it would be written as null and never be readable.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=(), allow_inf_nan=False)


class Event(Value):
    """A fact in the past tense, owned by its producer.

    `type` is the wire type, `noun.past_participle.vN`. Additive changes keep the version; anything
    else is a new type published beside the old one.
    """

    type: ClassVar[str]

    @classmethod
    def from_json(cls, raw: bytes) -> Self:
        """The event that a record's value describes. Raises ValidationError."""
        return cls.model_validate_json(raw)
