"""One spelling for each identifier that people type: two texts that look the same name the same thing.

Unicode writes "ü" as one code point (NFC) or as two (NFD), and systems differ in which one they send. Identifiers of
other systems (`entity_id`, `unit_id`) may hold any letters, so they are normalised wherever they are compared. The
names that Modelyard gives meaning to (projects, models, tenants, entity types, aliases) are slugs: they are ASCII, any
other letter is refused, and nothing needs to be normalised.
"""

import re
from typing import Annotated
from unicodedata import normalize

from pydantic import AfterValidator, Field

from modelyard_events.limits import ID_CHARS_MAX

_UNWRITABLE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")


def _writable(text: str) -> str:
    if _UNWRITABLE.search(text):
        raise ValueError("holds a control character or half a surrogate pair")
    return text


ForeignId = Annotated[str, Field(min_length=1, max_length=ID_CHARS_MAX), AfterValidator(_writable)]
"""An identifier that another system gave: any letters, but nothing that a header or a database cannot hold."""


def normalised_id(text: str) -> str:
    """An identifier of another system as it is compared, cached and keyed: in Unicode's form NFC.

    At most three times as many bytes in UTF-8 as `text`. Doing it again changes nothing.
    """
    return text if text.isascii() else normalize("NFC", text)
