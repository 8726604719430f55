"""A refused value as an error shows it: in JSON's words, cut, and never walked through."""

from modelyard_events.limits import ERROR_SHOWN_CHARS_MAX

_WORDS = {None: "null", True: "true", False: "false"}


def shown(value: object) -> str:
    """The value, cut to `ERROR_SHOWN_CHARS_MAX` characters; of a list or an object only what it is, and how large."""
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, str):
        cut = value if len(value) <= ERROR_SHOWN_CHARS_MAX else f"{value[:ERROR_SHOWN_CHARS_MAX]}…"
        quoted = cut.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}"' if quoted.isprintable() else f'"{quoted.encode("unicode_escape").decode()}"'
    if isinstance(value, list | tuple):
        return f"a list of {len(value)} elements"
    if isinstance(value, dict):
        return f"an object of {len(value)} members"
    if isinstance(value, int) and abs(value) >= 10**ERROR_SHOWN_CHARS_MAX:
        return "a whole number of more than a hundred digits"
    return repr(value)[:ERROR_SHOWN_CHARS_MAX]
