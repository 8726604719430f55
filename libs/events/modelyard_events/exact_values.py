"""What somebody outside writes is taken at its word: nothing is ignored, and nothing is turned into something else.

Pydantic turns `true` into 1 and `"3"` into 3, and ignores fields that it does not know. Whoever sends `false` as a
metric, or misspells a field, has made a mistake that must not become 0, or nothing. Facts that our own services
write are read as `Value` instead: there an unknown field is what a newer producer says.
"""

from collections.abc import Sized
from difflib import get_close_matches
from typing import Any, ClassVar, Self, TypeVar

from pydantic import ConfigDict, GetCoreSchemaHandler, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails, PydanticCustomError, core_schema

from modelyard_events.event import Value
from modelyard_events.limits import EXACT_INT_MAX
from modelyard_events.strict_json import is_storable

UNKNOWN_FIELDS_MAX = 20
"""Unknown fields that are each named with a guess; more of them are refused together."""

ITEMS_TOLD_MAX = 100
"""A list that may be longer is judged up to its first wrong item only."""

_NO_SCHEMAS = frozenset({"metadata", "serialization", "default", "config", "expected"})

Text = TypeVar("Text", bound=str)


def storable(text: Text) -> Text:
    """`text` itself. Raises ValueError when PostgreSQL cannot hold it."""
    if not is_storable(text):
        raise ValueError("holds a character that cannot be stored: NUL or half of a surrogate pair")
    return text


def exact(schema: CoreSchema) -> CoreSchema:
    """A copy of `schema` that takes scalars only as what they are and texts only when they can be stored.

    A mapping or a list is judged by its size before its members are judged. A model that `schema` only
    refers to is not changed.
    """
    copied: CoreSchema = _exact(schema)
    return copied


def _exact(node: Any) -> Any:
    if isinstance(node, list | tuple):
        return type(node)(_exact(each) for each in node)
    if not isinstance(node, dict):
        return node
    within = {name: each if name in _NO_SCHEMAS else _exact(each) for name, each in node.items()}
    match within.get("type"):
        case "int" | "bool":
            within["strict"] = True
        case "float":
            return core_schema.no_info_before_validator_function(_kept_by_a_double, {**within, "strict": True})
        case "str":
            return core_schema.no_info_after_validator_function(storable, within)
        case "dict" | "list" | "tuple" as kind if "max_length" in within:
            if kind != "dict" and within["max_length"] > ITEMS_TOLD_MAX:
                # Of a long list the first wrong item is told: telling each would take longer than reading them.
                within["fail_fast"] = True
            # Pydantic itself counts the members only after it has judged each.
            return core_schema.no_info_before_validator_function(_AtMost(within["max_length"]), within)
    return within


def _kept_by_a_double(number: object) -> object:
    if isinstance(number, int) and abs(number) > EXACT_INT_MAX and not _is_a_double(number):
        raise ValueError("is a whole number that no double holds exactly: send fewer digits, or an exponent")
    return number


def _is_a_double(number: int) -> bool:
    try:
        return float(number) == number
    except OverflowError:
        return False


class _AtMost:
    def __init__(self, length_max: int) -> None:
        self._length_max = length_max

    def __call__(self, given: object) -> object:
        if isinstance(given, Sized) and len(given) > self._length_max:
            raise ValueError(f"holds {len(given)} members; {self._length_max} are the most")
        return given


class ExactValue(Value):
    """A part of what somebody outside writes: an unknown field is refused by name, a scalar is what it is.

    `other_words` maps what others call a field to our name of it; `advice_on_unknown` says where else it may belong.
    """

    model_config = ConfigDict(extra="forbid")

    advice_on_unknown: ClassVar[str] = ""
    other_words: ClassVar[dict[str, str]] = {}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema of the model, made exact."""
        return exact(handler(source))

    @model_validator(mode="wrap")
    @classmethod
    def _say_what_was_meant(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(given, dict):
            _refuse_many_unknown(given, cls)
        try:
            return handler(given)
        except ValidationError as error:
            advised = _find_advised(error, cls)
            if advised is None:
                raise
            raise advised from error


def _refuse_many_unknown(given: dict[object, object], model: type[ExactValue]) -> None:
    """Raise PydanticCustomError when so many fields are unknown that an error and a guess for each would cost much."""
    # The first question answers for most: asking a class for its fields costs each value more than the rest of this.
    if len(given) <= UNKNOWN_FIELDS_MAX or len(given) <= len(model.model_fields) + UNKNOWN_FIELDS_MAX:
        return
    first = next(name for name in given if name not in model.model_fields)
    words = (
        f"has {len(given)} fields, and only {len(model.model_fields)} are known; {str(first)[:100]!r} is none of them"
    )
    raise PydanticCustomError("unknown_fields", "{words}", {"words": words})


def _find_advised(error: ValidationError, model: type[ExactValue]) -> ValidationError | None:
    """The error with a guess at what each unknown field of `model` was meant to be; None when all are known."""
    found = error.errors(include_url=False)
    if not any(_is_unknown(each) for each in found):
        return None
    lines = [InitErrorDetails(type=_line(each, model), loc=each["loc"], input=each["input"]) for each in found]
    return ValidationError.from_exception_data(error.title, lines)


def _is_unknown(found: ErrorDetails) -> bool:
    return found["type"] == "extra_forbidden" and len(found["loc"]) == 1


def _line(found: ErrorDetails, model: type[ExactValue]) -> PydanticCustomError:
    if _is_unknown(found):
        return PydanticCustomError("unknown_field", "{words}", {"words": _guess(str(found["loc"][0]), model)})
    return PydanticCustomError(found["type"], "{words}", {"words": found["msg"]})


def _guess(name: str, model: type[ExactValue]) -> str:
    fields = sorted(model.model_fields)
    meant = model.other_words.get(name) or next(iter(get_close_matches(name[:100], fields, n=1)), None)
    says = f"did you mean `{meant}`?" if meant else f"there are {', '.join(fields)}"
    advice = f" (or {model.advice_on_unknown})" if model.advice_on_unknown else ""
    return f"is no field here; {says}{advice}"
