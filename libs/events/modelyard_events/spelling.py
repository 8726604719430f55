"""Texts with one spelling: what is spelled otherwise is refused in words, and documented as a pattern."""

import re
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class Spelled:
    """How a text is spelled: `pattern` for programs, `words` for people, as in `Annotated[str, Spelled(…)]`.

    The pattern means what it means in JSON Schema: a digit is one of 0 to 9, and `$` is the end of the text.
    """

    def __init__(self, pattern: str, *, words: str) -> None:
        self._pattern = pattern
        self._compiled = re.compile(pattern, re.ASCII)
        self._words = words

    def check(self, text: str) -> str:
        """`text` itself. Raises PydanticCustomError, which pydantic collects, when it is spelled otherwise."""
        if self._compiled.fullmatch(text) is None:
            raise PydanticCustomError("spelling", "{words}", {"words": self._words})
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A text that is checked."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema of a text, with the pattern."""
        return {**handler(schema), "pattern": self._pattern}
