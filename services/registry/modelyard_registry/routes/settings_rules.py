"""What people may set about routing, and how a setting changes. Pure."""

from dataclasses import replace
from string import Formatter
from urllib.parse import urlsplit

from modelyard_events.routes import FeatureSource, KillSwitch
from modelyard_runtime.problems import InvalidRequestError, NotFoundError

from modelyard_registry.routes.domain import RouteSettings

PLACEHOLDERS = ("tenant", "entity_type", "entity_id")
URL_LENGTH_MAX = 2_000


class FeatureSourceInvalidError(InvalidRequestError):
    """This URL template cannot be a feature source."""

    code = "feature-source-invalid"
    when = "`url_template` is no http(s) URL, or its placeholders are wrong."
    fix = "Give an http(s) URL such as https://loans.example/features/{tenant}/{entity_type}/{entity_id}."


class KillSwitchNotFoundError(NotFoundError):
    """No such kill switch is set."""

    code = "kill-switch-not-found"
    when = "The route has no kill switch for everybody, or for this tenant."
    fix = "GET the route and look at its `kill_switches`; `?tenant=` names the tenant of one."


def with_feature_source(settings: RouteSettings, *, url_template: str, timeout_s: float) -> RouteSettings:
    """The settings with this feature source; its revision rises only when something about it changes."""
    current = settings.feature_source
    if current is not None and (current.url_template, current.timeout_s) == (url_template, timeout_s):
        return settings
    refuse_unless_template(url_template)
    revision = settings.feature_source_revision + 1
    source = FeatureSource(url_template=url_template, timeout_s=timeout_s, revision=revision)
    return replace(settings, feature_source=source, feature_source_revision=revision)


def without_feature_source(settings: RouteSettings) -> RouteSettings:
    """The settings without a feature source."""
    return replace(settings, feature_source=None)


def with_kill_switch(settings: RouteSettings, *, tenant: str | None, reason: str) -> RouteSettings:
    """The settings with the kill switch on for a tenant, or for everyone when `tenant` is None."""
    others = tuple(each for each in settings.kill_switches if each.tenant != tenant)
    return replace(settings, kill_switches=(*others, KillSwitch(tenant=tenant, reason=reason)))


def without_kill_switch(settings: RouteSettings, *, tenant: str | None) -> RouteSettings:
    """The settings with that kill switch off. Raises KillSwitchNotFoundError."""
    others = tuple(each for each in settings.kill_switches if each.tenant != tenant)
    if len(others) == len(settings.kill_switches):
        whom = f"the tenant {tenant}" if tenant is not None else "the whole model type"
        raise KillSwitchNotFoundError(f"No kill switch is set for {whom}.")
    return replace(settings, kill_switches=others)


def refuse_unless_template(url_template: str) -> None:
    """Raises FeatureSourceInvalidError unless it is an http(s) URL with our placeholders, after the host."""
    names = _placeholders_of(url_template)
    unknown = sorted(names - set(PLACEHOLDERS))
    if unknown:
        raise _invalid(f"{{{unknown[0]}}} is no placeholder")
    if "entity_id" not in names:
        raise _invalid("the placeholder {entity_id} is missing")
    try:
        parts = urlsplit(url_template)
        port_is_readable = parts.port is None or parts.port > 0
    except ValueError as error:
        raise _invalid(f"it is not a URL ({error})") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_readable:
        raise _invalid("it is not an http or https URL with a host")
    if "@" in parts.netloc:
        raise _invalid("a URL must not carry credentials")
    if "{" in parts.netloc:
        raise _invalid("the host must be fixed: placeholders belong after it")
    if any(character.isspace() or ord(character) < 0x20 for character in url_template):
        raise _invalid("it contains blanks or control characters")


def _placeholders_of(url_template: str) -> set[str]:
    try:
        pieces = list(Formatter().parse(url_template))
    except ValueError as error:
        raise _invalid(f"its braces do not match ({error})") from error
    names = set()
    for text, name, layout, conversion in pieces:
        if "{" in text or "}" in text or layout or conversion or name == "":
            raise _invalid("braces may only enclose a placeholder's name")
        if name is not None:
            names.add(name)
    return names


def _invalid(what: str) -> FeatureSourceInvalidError:
    return FeatureSourceInvalidError(f"url_template: {what}.")
