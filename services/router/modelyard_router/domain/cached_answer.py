"""A prediction in the form in which the cache keeps it, with its inputs, so that the fact about a hit is complete."""

from typing import Protocol

import orjson
from modelyard_events.tensors import members_of
from modelyard_events.values import Tensor
from pydantic import BaseModel, ConfigDict


class Answered(Protocol):
    """What the cache keeps of an answer."""

    @property
    def entity_version(self) -> int | None: ...
    @property
    def inputs(self) -> tuple[Tensor, ...]: ...
    @property
    def outputs(self) -> tuple[Tensor, ...]: ...


class CachedAnswer(BaseModel):
    """An answer of the version, endpoint and inputs that the cache's field names."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    entity_version: int | None = None
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @classmethod
    def of(cls, answered: Answered) -> "CachedAnswer":
        """Take what the cache keeps from `answered`."""
        return cls(entity_version=answered.entity_version, inputs=answered.inputs, outputs=answered.outputs)

    def to_bytes(self) -> bytes:
        """Return the bytes that the cache keeps."""
        return orjson.dumps(
            {
                "entity_version": self.entity_version,
                "inputs": members_of(self.inputs),
                "outputs": members_of(self.outputs),
            }
        )

    @classmethod
    def from_bytes(cls, value: bytes) -> "CachedAnswer | None":
        """Read what the cache has, or return None when another release wrote it in another form."""
        try:
            return cls.model_validate(orjson.loads(value))
        except ValueError:
            return None
