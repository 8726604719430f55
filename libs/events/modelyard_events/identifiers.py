"""One spelling for each identifier that people type: two texts that look the same name the same thing.

Unicode writes "ü" as one code point (NFC) or as two (NFD), and systems differ in which one they send. Identifiers of
other systems (`entity_id`, `unit_id`) may hold any letters, so they are normalised wherever they are compared. The
names that Modelyard gives meaning to (projects, models, tenants, entity types, aliases) are slugs: they are ASCII, any
other letter is refused, and nothing needs to be normalised.
"""

from unicodedata import normalize


def normalised_id(text: str) -> str:
    """An identifier of another system as it is compared, cached and keyed: in Unicode's form NFC.

    At most three times as many bytes in UTF-8 as `text`. Doing it again changes nothing.
    """
    return text if text.isascii() else normalize("NFC", text)
