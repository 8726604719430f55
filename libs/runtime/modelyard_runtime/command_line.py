"""A service's command line: `--help` lists its settings, and a setting that is wrong is told in a line of its own.

Settings come from environment variables alone; nothing is started before all of them are right.
"""

import argparse
import os
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined
from pydantic_settings import SettingsError

from modelyard_runtime.settings import ServiceSettings
from modelyard_runtime.variables import PREFIX, unknown_variables

WIDTH = 100
SHOWN_CHARS = 100
EXIT_CODE = 2

_SECRET = re.compile(r"token|secret|password|dsn|url|key")
"""Settings whose values may hold a secret: those are never shown."""

S = TypeVar("S", bound=ServiceSettings)


def settings_of(kind: type[S], *, service: str, arguments: Sequence[str] | None = None) -> S:
    """The settings of a service, unless its command line asks for something else. Exits with 2 when one is wrong."""
    _parser(kind, service=service).parse_args(arguments)
    faults = unknown_variables(os.environ)
    try:
        settings = kind()
    except ValidationError as error:
        faults += [_sentence(each) for each in error.errors()]
    except SettingsError as error:
        faults.append(_sentence_of_json(error, os.environ))
    else:
        if not faults:
            return settings
    print(f"modelyard_{service} is not started:", *faults, sep="\n  ", file=sys.stderr)
    sys.exit(EXIT_CODE)


def _parser(kind: type[ServiceSettings], *, service: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m modelyard_{service}",
        description=f"Serve Modelyard's {service.replace('_', ' ')} until SIGTERM or Ctrl-C.",
        epilog=settings_help(kind),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=version(f"modelyard-{service.replace('_', '-')}"))
    return parser


def settings_help(kind: type[ServiceSettings]) -> str:
    """Every setting with its default, and what they mean: for a terminal."""
    parts = ["Settings are environment variables; lists and mappings are JSON."]
    told: set[str] = set()
    for each in kind.__mro__:
        if not (issubclass(each, BaseModel) and each.__module__.startswith("modelyard_")):
            continue
        own = [name for name in each.__annotations__ if name in kind.model_fields and name not in told]
        told.update(own)
        if own:
            lines = [f"  {PREFIX}{name.upper()} = {_default_of(kind, name)}" for name in own]
            parts += [_meaning_of(each), "\n".join(lines)]
    return "\n\n".join(parts)


def _meaning_of(kind: type[BaseModel]) -> str:
    text = re.sub(
        r"`([a-z][a-z0-9_]*)`",
        lambda found: f"{PREFIX}{found[1].upper()}" if found[1] in kind.model_fields else found[0],
        " ".join((kind.__doc__ or "").split()),
    )
    # argparse takes a percent sign for a place to fill in.
    return textwrap.fill(text, WIDTH, break_long_words=False).replace("%", "%%")


def _default_of(kind: type[BaseModel], name: str) -> str:
    field = kind.model_fields[name]
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "(required)"
    if hasattr(value, "get_secret_value") or value in (None, "", (), {}):
        return "(not set)"
    return str(value).replace("%", "%%")


def _sentence(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name, *within = (str(part) for part in error["loc"])
    variable = f"{PREFIX}{name.upper()}"
    place = f" ({'.'.join(within)})" if within else ""
    sentence = f"{variable}{place}: {message}; {_shown(name, error['input'])}"
    if name == "port" and "://" in str(error["input"]):
        sentence += " Kubernetes sets it for a Service named modelyard: set enableServiceLinks: false."
    return sentence


def _sentence_of_json(error: SettingsError, environment: Mapping[str, str]) -> str:
    found = re.search(r'field "(\w+)"', str(error))
    if found is None:
        return str(error)
    name = found[1]
    given = {variable.upper(): value for variable, value in environment.items()}.get(f"{PREFIX}{name.upper()}", "")
    return f"{PREFIX}{name.upper()}: a list or mapping as JSON is wanted; {_shown(name, given)}"


def _shown(name: str, value: object) -> str:
    if _SECRET.search(name):
        return "what came is not shown, as it may be a secret."
    return f"{str(value)[:SHOWN_CHARS]!r} came."
