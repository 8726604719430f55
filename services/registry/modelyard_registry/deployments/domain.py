"""What a deployment is, and what changes when it is recorded anew."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from types import MappingProxyType
from typing import Literal
from urllib.parse import urlsplit

from modelyard_events.values import Endpoint, Feature, Protocol
from modelyard_runtime.problems import InvalidRequestError

Health = Literal["healthy", "unhealthy", "unknown"]
"""In which health an endpoint was last seen."""

ENVIRONMENTS = ("dev", "test", "staging", "production")
ENVIRONMENT_SYNONYMS: Mapping[str, str] = MappingProxyType({"development": "dev", "testing": "test"})
"""Other words for an environment, which are understood on the way in and never used on the way out."""

_MEANT: Mapping[str, str] = MappingProxyType({"prod": "production", "live": "production", "stage": "staging"})
"""Words that are near to an environment, and are refused: the router asks only the endpoints in `production`."""


class EnvironmentUnknownError(InvalidRequestError):
    """This word is no environment."""

    code = "environment-unknown"
    when = "The path or the query names an environment that does not exist."
    fix = "Use one of the environments that `fix` lists."


class EndpointUrlInvalidError(InvalidRequestError):
    """The endpoint's URL cannot be used."""

    code = "endpoint-url-invalid"
    when = "The endpoint's URL is not http or https, carries credentials, or has a fragment."
    fix = "Give the whole address, such as http://10.0.0.7:8080/v2/models/risk/versions/3/infer."


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """At which endpoint a version answers in an environment, and in what health it was last seen."""

    environment: str
    endpoint: Endpoint
    health: Health
    recorded_at: datetime
    recorded_by: str


def parse_environment(word: str) -> str:
    """The environment that `word` means. Raises EnvironmentUnknownError, which names the one that may be meant."""
    environment = ENVIRONMENT_SYNONYMS.get(word, word)
    if environment in ENVIRONMENTS:
        return environment
    lowered = word.strip().lower()
    known = (*ENVIRONMENTS, *ENVIRONMENT_SYNONYMS)
    near = _MEANT.get(lowered) or next(iter(get_close_matches(lowered, known, n=1)), None)
    guess = "" if near is None else f" Did you mean {near}?"
    raise EnvironmentUnknownError(
        f"{word[:100]!r} is no environment.{guess}", fix=f"Use one of: {', '.join(ENVIRONMENTS)}."
    )


def decide_endpoint(
    *,
    url: str,
    protocol: Protocol,
    inputs: tuple[Feature, ...],
    timeout_s: float,
    before: Endpoint | None,
) -> Endpoint:
    """The endpoint as it is to be recorded; its revision rises when anything about it changes.

    The deadline counts, too: with one that is too short a version answers nobody.

    Raises EndpointUrlInvalidError.
    """
    refuse_bad_url(url)
    # As they are stored: a feature of a request's type never equals a stored one, and the revision would rise.
    inputs = tuple(Feature(name=each.name, datatype=each.datatype) for each in inputs)
    return Endpoint(
        url=url,
        protocol=protocol,
        inputs=inputs,
        timeout_s=timeout_s,
        revision=_revision((url, protocol, inputs, timeout_s), before=before),
    )


def _revision(identity: tuple[str, Protocol, tuple[Feature, ...], float], *, before: Endpoint | None) -> int:
    if before is None:
        return 1
    return before.revision + (identity != (before.url, before.protocol, before.inputs, before.timeout_s))


def refuse_bad_url(url: str) -> None:
    """Raises EndpointUrlInvalidError unless `url` is plain http or https, with a host and without credentials."""
    try:
        parts = urlsplit(url)
        is_plain = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_plain = False
    if not is_plain or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise EndpointUrlInvalidError(f"{url[:200]!r} is no http or https URL.")
    if parts.username is not None or parts.password is not None:
        raise EndpointUrlInvalidError(
            "The URL carries credentials.",
            fix="Leave them out: URLs are written to events and logs. Let the network admit the router instead.",
        )
    if parts.fragment:
        raise EndpointUrlInvalidError("The URL has a fragment, which no server sees.", fix="Remove what follows `#`.")
