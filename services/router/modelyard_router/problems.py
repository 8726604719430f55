"""The router's refusals: why a request was not answered, each with the status that says who must act."""

from typing import ClassVar, Literal

from modelyard_routing.decision import Refusal, RefusalCode
from modelyard_runtime.problems import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    ProblemError,
    UnavailableError,
)

from modelyard_router.domain.breaker import Blame
from modelyard_router.metrics import SHED

HEADER_SHOWN_BYTES_MAX = 100


class MalformedBodyError(ProblemError):
    """The body is not JSON."""

    status = 400


class DuplicateKeyError(InvalidRequestError):
    """A JSON object in the body has a member twice."""


class BodyTooLargeError(ProblemError):
    """The body is larger than the router reads."""

    status = 413


class EncodedBodyError(ProblemError):
    """The body is encoded in a way that the router does not read."""

    status = 415


class MethodNotAllowedError(ProblemError):
    """The operation takes another method."""

    status = 405
    headers = {"allow": "POST"}  # noqa: RUF012  # The base class declares it as a ClassVar.


class RoutesUnknownError(UnavailableError):
    """The router does not know the routes yet."""


class NoRouteError(NotFoundError):
    """Nothing serves this request."""


class UnknownAliasError(NotFoundError):
    """No routable version has this alias."""


class VersionNotRoutableError(ConflictError):
    """The version may not be routed to."""


class VersionQuarantinedError(ConflictError):
    """The version is quarantined."""


class EndpointMissingError(UnavailableError):
    """The version has no endpoint."""


class InputsMissingError(InvalidRequestError):
    """The model needs inputs that nobody brought."""


class OutputsMissingError(InvalidRequestError):
    """The endpoint does not answer an output that was asked for."""


class EndpointRefusedInputsError(InvalidRequestError):
    """The endpoint refused the inputs."""


class TooManyRequestsError(UnavailableError):
    """The project has too many requests under way."""


class EndpointFailureError(ProblemError):
    """The endpoint did not answer the prediction."""

    status = 502
    blame: ClassVar[Blame] = Blame.SHARE


class EndpointUnreachableError(EndpointFailureError):
    """The endpoint takes no connection."""

    blame = Blame.EVERYBODY


class EndpointUnusableError(EndpointFailureError):
    """The endpoint is there, and does not take predictions as it is recorded."""

    blame = Blame.NOBODY


class EndpointTimeoutError(EndpointFailureError):
    """The endpoint did not answer in time."""

    status = 504


class EndpointNonsenseError(EndpointFailureError):
    """The endpoint's answer is no prediction."""


class EndpointPausedError(EndpointFailureError):
    """The endpoint failed repeatedly and is left alone for a moment."""

    status = 503
    blame = Blame.NOBODY
    headers = {"retry-after": "1"}  # noqa: RUF012  # The base class declares it as a ClassVar.


class FeatureSourceFailureError(ProblemError):
    """The feature source did not answer."""

    status = 502
    blame: ClassVar[Blame] = Blame.SHARE


class FeatureSourceUnreachableError(FeatureSourceFailureError):
    """The feature source takes no connection."""

    blame = Blame.EVERYBODY


class FeatureSourceUnusableError(FeatureSourceFailureError):
    """The feature source is there, and does not take requests as it is recorded."""

    blame = Blame.NOBODY


class FeatureSourcePausedError(FeatureSourceFailureError):
    """The feature source failed repeatedly and is left alone for a moment."""

    status = 503
    headers = {"retry-after": "1"}  # noqa: RUF012  # The base class declares it as a ClassVar.
    blame = Blame.NOBODY


class FeatureSourceTimeoutError(FeatureSourceFailureError):
    """The feature source did not answer in time."""

    status = 504


class FeatureSourceNonsenseError(FeatureSourceFailureError):
    """The feature source's answer is not understood."""


class EntityUnknownError(NotFoundError):
    """The feature source does not know the entity."""


class EntityRefusedError(InvalidRequestError):
    """The feature source does not take the entity."""


_REFUSALS: dict[RefusalCode, type[ProblemError]] = {
    RefusalCode.NO_ROUTE: NoRouteError,
    RefusalCode.UNKNOWN_ALIAS: UnknownAliasError,
    RefusalCode.VERSION_NOT_ROUTABLE: VersionNotRoutableError,
    RefusalCode.VERSION_QUARANTINED: VersionQuarantinedError,
    RefusalCode.ENDPOINT_MISSING: EndpointMissingError,
}


def problem_of(refusal: Refusal) -> ProblemError:
    """A refusal of the decision as callers see it; `code` is its stable name."""
    passed = {"passed_over": refusal.passed_over} if refusal.passed_over else {}
    return _REFUSALS[refusal.code](refusal.detail, fix=refusal.fix, code=refusal.code.value, **passed)


def used_up(part: Literal["predictions", "endpoint", "feature_source"], project: str) -> TooManyRequestsError:
    """The refusal of a request for which a project has no place left in a part of the router; it is counted."""
    SHED.labels(part).inc()
    return TooManyRequestsError(
        f"Project {project} has as many requests under way as it may: {part.replace('_', ' ')} requests are refused.",
        fix="Send fewer requests at once, or make the endpoint and the feature source answer faster; then try again.",
    )


def encoded_body(encoding: bytes) -> EncodedBodyError:
    """The refusal of a compressed body."""
    return EncodedBodyError(
        f"content-encoding: {_cut(encoding)} came; the router reads plain bodies only.",
        fix="Send the JSON as it is, without compressing it and without the header content-encoding.",
    )


def malformed_length(length: bytes) -> MalformedBodyError:
    """The refusal of a length that is no number."""
    return MalformedBodyError(
        f"content-length: {_cut(length)} came; that is no number of bytes.",
        fix="Send the number of bytes in the body in decimal digits, or leave the header to your HTTP client.",
    )


def _cut(value: bytes) -> str:
    return repr(value[:HEADER_SHOWN_BYTES_MAX].decode("latin-1"))
