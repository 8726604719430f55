"""What operations take: the names in their paths, and the bodies that callers send."""

from typing import Annotated

from fastapi import Path
from modelyard_events.exact_values import ExactValue
from modelyard_events.limits import REASON_CHARS_MAX
from modelyard_events.values import Slug
from pydantic import Field

DEFAULT_PROJECT = "default"

Project = Annotated[Slug, Path(description="The project that owns the names.", examples=["default"])]
ModelName = Annotated[Slug, Path(description="The registered model's name.", examples=["loan-risk"])]
Reason = Annotated[str, Field(max_length=REASON_CHARS_MAX)]

READING = frozenset({"GET", "HEAD"})
"""The methods that change nothing: to them an Idempotency-Key and an If-Match mean nothing."""


class Request(ExactValue):
    """A body that a caller sends. A field that is not known is refused: it is most likely a typing error."""
