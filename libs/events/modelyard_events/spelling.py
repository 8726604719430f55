"""Texts with one spelling: what is spelled otherwise is refused in words, and documented as a pattern."""

from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema


class Spelled:
    """How a text is spelled: `pattern` for programs, `words` for people, as in `Annotated[str, Spelled(…)]`.

    The pattern means what it means in JSON Schema: a digit is one of 0 to 9, and `$` is the end of the text.
    """

    def __init__(self, pattern: str, *, words: str) -> None:
        self._pattern = pattern
        self._words = words

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A text that is checked. Facts have many of them, so the check is compiled, not a Python function."""
        # The engine's own \d would take every digit of Unicode.
        spelled = core_schema.str_schema(pattern=self._pattern.replace(r"\d", "[0-9]"), regex_engine="rust-regex")
        refused_in_words = core_schema.custom_error_schema(
            spelled,
            custom_error_type="spelling",
            custom_error_message="{words}",
            custom_error_context={"words": self._words},
        )
        return core_schema.chain_schema([handler(source), refused_in_words])

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema of a text, with the pattern."""
        return {**handler(schema), "pattern": self._pattern}
