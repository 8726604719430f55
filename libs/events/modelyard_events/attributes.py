"""CloudEvents attributes to an envelope: each one is bounded, and is text that can be written on."""

import re
from collections.abc import Mapping
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from modelyard_events.envelope import Envelope
from modelyard_events.limits import (
    ERROR_SHOWN_CHARS_MAX,
    EVENT_ACTOR_BYTES_MAX,
    EVENT_ID_BYTES_MAX,
    EVENT_SEQUENCE_DIGITS_MAX,
    EVENT_SOURCE_BYTES_MAX,
    EVENT_TIME_BYTES_MAX,
    EVENT_TYPE_BYTES_MAX,
    MOMENT_MAX,
    MOMENT_MIN,
    RECORD_KEY_BYTES_MAX,
    TRACEPARENT_BYTES_MAX,
)
from modelyard_events.values import Moment

SPEC_VERSION = "1.0"
REQUIRED = ("specversion", "id", "source", "type", "time")
BYTES_MAX: dict[str, int] = {
    "specversion": len(SPEC_VERSION),
    "id": EVENT_ID_BYTES_MAX,
    "source": EVENT_SOURCE_BYTES_MAX,
    "type": EVENT_TYPE_BYTES_MAX,
    "subject": RECORD_KEY_BYTES_MAX,
    "time": EVENT_TIME_BYTES_MAX,
    "correlationid": EVENT_ID_BYTES_MAX,
    "causationid": EVENT_ID_BYTES_MAX,
    "traceparent": TRACEPARENT_BYTES_MAX,
    "actor": EVENT_ACTOR_BYTES_MAX,
}
"""The attributes that are read as texts, and how many bytes each may have in UTF-8."""

_UNWRITABLE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
_PLAIN_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?(Z|\+00:00)", re.ASCII)
"""A moment as most write it. It is read at a tenth of the cost of the others."""
_MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


class AttributesRefusedError(ValueError):
    """The attributes are not those of an event. The message is a sentence for people."""


def envelope_of(attributes: Mapping[str, object], *, prefix: str = "") -> Envelope:
    """The envelope that CloudEvents attributes describe; others are ignored. Raises AttributesRefusedError.

    `prefix` stands before each attribute's name in `attributes`, such as `ce_` in headers.
    """
    texts = _texts(attributes, prefix=prefix)
    if not all(map(texts.get, REQUIRED)):
        missing = [name for name in REQUIRED if not texts.get(name)]
        raise AttributesRefusedError(f"CloudEvents attributes are missing: {', '.join(missing)}")
    if texts["specversion"] != SPEC_VERSION:
        raise AttributesRefusedError(f"CloudEvents {texts['specversion']} is not understood; send {SPEC_VERSION}")
    return Envelope(
        id=texts["id"],
        source=texts["source"],
        type=texts["type"],
        subject=texts.get("subject", ""),
        occurred_at=_moment(texts["time"]),
        sequence=_whole("sequence", attributes.get(f"{prefix}sequence")),
        generation=_whole("generation", attributes.get(f"{prefix}generation")),
        correlation_id=texts.get("correlationid"),
        causation_id=texts.get("causationid"),
        traceparent=texts.get("traceparent"),
        actor=texts.get("actor"),
    )


def _texts(attributes: Mapping[str, object], *, prefix: str) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, most in BYTES_MAX.items():
        raw = attributes.get(prefix + name)
        # Nearly every text is printable ASCII, one byte a character; only the others are looked at closely.
        if isinstance(raw, str) and raw.isascii() and raw.isprintable() and len(raw) <= most:
            texts[name] = raw
        elif raw is not None:
            texts[name] = _text(name, raw)
    return texts


def _text(name: str, raw: object) -> str:
    if not isinstance(raw, str):
        raise AttributesRefusedError(f"`{name}` is not a text: {_shown(raw)}")
    size, most = len(raw.encode(errors="surrogatepass")), BYTES_MAX[name]
    if size > most:
        raise AttributesRefusedError(f"`{name}` has {size} bytes; {most} are the most: {_shown(raw)}")
    if _UNWRITABLE.search(raw):
        raise AttributesRefusedError(f"`{name}` holds a control character or half a surrogate pair: {_shown(raw)}")
    return raw


def _moment(text: str) -> datetime:
    try:
        moment = _read_moment(text)
    except ValidationError as error:
        raise AttributesRefusedError(
            f"`time` is no moment as RFC 3339 writes it with its offset from UTC, such as 2026-03-03T12:00:00Z: "
            f"{_shown(text)}"
        ) from error
    if not MOMENT_MIN <= moment <= MOMENT_MAX:
        raise AttributesRefusedError(f"`time` is not between the years 1 and 9999 in every time zone: {_shown(text)}")
    return moment


def _read_moment(text: str) -> datetime:
    """The moment. Raises ValidationError."""
    try:
        if _PLAIN_UTC.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass  # There is no such day or hour: refused below, in the same words as all others.
    return _MOMENT.validate_python(text)


def _whole(name: str, raw: object) -> int | None:
    if raw is None:
        return None
    if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw < 10**EVENT_SEQUENCE_DIGITS_MAX:
        return raw  # In structured mode CloudEvents writes whole numbers as JSON does.
    text = raw if isinstance(raw, str) and len(raw) <= EVENT_SEQUENCE_DIGITS_MAX else ""
    if not (text.isascii() and text.isdigit()):
        raise AttributesRefusedError(
            f"`{name}` is not a whole number of at most {EVENT_SEQUENCE_DIGITS_MAX} digits: {_shown(raw)}"
        )
    return int(text)


def _shown(raw: object) -> str:
    text = raw if isinstance(raw, str) else type(raw).__name__
    return ascii(text[:ERROR_SHOWN_CHARS_MAX])
