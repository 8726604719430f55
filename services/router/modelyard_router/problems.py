"""The router's problems: why a request was not answered. The status says who must act."""

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

    code = "malformed-body"
    status = 400
    when = "The body cannot be read as JSON, or `content-length` is no number of bytes."
    fix = "Send a JSON object as UTF-8."


class DuplicateKeyError(InvalidRequestError):
    """A JSON object in the body has a member twice."""

    code = "duplicate-key"
    when = "A JSON object in the body has the same member twice."
    fix = "Give each member once."


class RequestTooLargeError(ProblemError):
    """The body is larger than the router reads."""

    code = "body-too-large"
    status = 413
    when = "The body has more bytes or more values than the router reads."
    fix = "Send fewer rows in one request."


class EncodedBodyError(ProblemError):
    """The body is encoded in a way that the router does not read."""

    code = "encoded-body"
    status = 415
    when = "The header `content-encoding` says that the body is compressed."
    fix = "Send the JSON as it is, without compressing it and without the header content-encoding."


class PostOnlyError(ProblemError):
    """The operation takes another method."""

    code = "method-not-allowed"
    status = 405
    when = "A prediction was asked for with another method than POST."
    fix = "Send a POST with a JSON object as its body."
    headers = {"allow": "POST"}  # noqa: RUF012  # The base class declares it as a ClassVar.


class RoutesUnknownError(UnavailableError):
    """The router does not know the routes yet."""

    code = "routes-unknown"
    when = "The router has just started and has not read the routes yet."
    fix = "Try again in a moment; /readyz says what it waits for."


class NoRouteError(NotFoundError):
    """Nothing serves this request."""

    code = "no-route"
    when = "The project routes nothing of this model type or model, or no version serves this caller."
    fix = "Check project and model type; `fix` says what is missing."


class UnknownAliasError(NotFoundError):
    """No routable version has this alias."""

    code = "unknown-alias"
    when = "The request names an alias that no routable version of the model has."
    fix = "Name another alias, or move the alias to a routable version."


class VersionNotRoutableError(ConflictError):
    """The version may not be routed to."""

    code = "version-not-routable"
    when = "The request names a version that is unknown, or in a stage that gets no traffic."
    fix = "Name another version, or promote this one to canary or production."


class VersionQuarantinedError(ConflictError):
    """The version is quarantined."""

    code = "version-quarantined"
    when = "The request names a version that is in quarantine."
    fix = "Name another version, or release this one from quarantine."


class EndpointMissingError(UnavailableError):
    """The version has no endpoint."""

    code = "endpoint-missing"
    when = "The version that should answer has no deployment in production."
    fix = "Record its deployment in the registry."


class InputsMissingError(InvalidRequestError):
    """The model needs inputs that neither the request nor the feature source has."""

    code = "inputs-missing"
    when = "The model needs inputs that neither the request nor the feature source gives."
    fix = "Send them in `inputs`, or name tenant and entity of a model type that has a feature source."


class OutputsMissingError(InvalidRequestError):
    """The endpoint does not answer an output that was asked for."""

    code = "outputs-missing"
    when = "`outputs` asks for an output that the endpoint did not answer."
    fix = "Ask for others in `outputs`, or leave it out to get all."


class EndpointRefusedInputsError(InvalidRequestError):
    """The endpoint refused the inputs."""

    code = "endpoint-refused-inputs"
    when = "The model server answered that it does not accept these inputs."
    fix = "Send the inputs that the version declares, in their datatypes and shapes."


class TooManyRequestsError(UnavailableError):
    """The project has too many requests under way."""

    code = "too-many-requests"
    when = "The project has as many requests under way in the router as its share allows."
    fix = "Send fewer requests at once, or make the endpoint and the feature source answer faster; then try again."


class EndpointFailureError(ProblemError):
    """The endpoint did not answer the prediction."""

    code = "endpoint-failure"
    status = 502
    when = "The model server answered with an error, or the connection failed during the answer."
    fix = "Try again; if it stays, find the cause in the model server's log."
    blame: ClassVar[Blame] = Blame.SHARE


class EndpointUnreachableError(EndpointFailureError):
    """The endpoint takes no connection."""

    code = "endpoint-unreachable"
    when = "No connection to the model server can be made."
    fix = "Start the model server, or correct the deployment's URL."
    blame = Blame.EVERYBODY


class EndpointUnusableError(EndpointFailureError):
    """The endpoint answers, but does not take predictions as it is recorded."""

    code = "endpoint-unusable"
    when = "The model server refuses the request as the deployment describes it (URL, protocol, credentials)."
    fix = "Correct the deployment's URL and protocol."
    blame = Blame.NOBODY


class EndpointTimeoutError(EndpointFailureError):
    """The endpoint did not answer in time."""

    code = "endpoint-timeout"
    status = 504
    when = "The model server did not answer within the deployment's timeout."
    fix = "Try again; if it stays slow, raise the timeout of the deployment or scale the model server."


class EndpointInvalidResponseError(EndpointFailureError):
    """The endpoint's answer is not valid in its protocol."""

    code = "endpoint-invalid-response"
    when = "The model server's answer is not valid in the Open Inference Protocol."
    fix = "Point the deployment at an endpoint that speaks open-inference-v2."


class EndpointPausedError(EndpointFailureError):
    """The endpoint failed repeatedly and is not asked at the moment."""

    code = "endpoint-paused"
    status = 503
    when = "The model server failed repeatedly; the router does not ask it for a few seconds."
    fix = "Try again in a few seconds; the operators find the cause in the model server's log."
    blame = Blame.NOBODY
    headers = {"retry-after": "1"}  # noqa: RUF012  # The base class declares it as a ClassVar.


class FeatureSourceFailureError(ProblemError):
    """The feature source did not answer."""

    code = "feature-source-failure"
    status = 502
    when = "The feature source answered with an error, or the connection failed during the answer."
    fix = "Try again, or send all inputs with the request."
    blame: ClassVar[Blame] = Blame.SHARE


class FeatureSourceUnreachableError(FeatureSourceFailureError):
    """The feature source takes no connection."""

    code = "feature-source-unreachable"
    when = "No connection to the feature source can be made."
    fix = "Try again, or send all inputs with the request."
    blame = Blame.EVERYBODY


class FeatureSourceUnusableError(FeatureSourceFailureError):
    """The feature source answers, but does not take requests as it is recorded."""

    code = "feature-source-unusable"
    when = "The feature source refuses the request as its URL template describes it."
    fix = "Correct the feature source, or send all inputs with the request."
    blame = Blame.NOBODY


class FeatureSourcePausedError(FeatureSourceFailureError):
    """The feature source failed repeatedly and is not asked at the moment."""

    code = "feature-source-paused"
    status = 503
    when = "The feature source failed repeatedly; the router does not ask it for a few seconds."
    fix = "Try again in a few seconds, or send all inputs with the request."
    headers = {"retry-after": "1"}  # noqa: RUF012  # The base class declares it as a ClassVar.
    blame = Blame.NOBODY


class FeatureSourceTimeoutError(FeatureSourceFailureError):
    """The feature source did not answer in time."""

    code = "feature-source-timeout"
    status = 504
    when = "The feature source did not answer within its timeout."
    fix = "Try again, or send all inputs with the request."


class FeatureSourceInvalidResponseError(FeatureSourceFailureError):
    """The feature source's answer is not valid."""

    code = "feature-source-invalid-response"
    when = "The feature source's answer is not of its format, or does not fit the model's inputs."
    fix = "Correct the feature source, or send all inputs with the request."


class EntityUnknownError(NotFoundError):
    """The feature source does not know the entity."""

    code = "entity-unknown"
    when = "The feature source answered that it does not know the entity."
    fix = "Check tenant, entity type and entity id, or send all inputs with the request."


class EntityRefusedError(InvalidRequestError):
    """The feature source does not take the entity."""

    code = "entity-refused"
    when = "The feature source answered that it does not accept this tenant or entity."
    fix = "Correct tenant, entity type and entity id, or send all inputs with the request."


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
        f"Project {project} has as many requests under way as it may: {part.replace('_', ' ')} requests are refused."
    )


def encoded_body(encoding: bytes) -> EncodedBodyError:
    """The refusal of a compressed body."""
    return EncodedBodyError(f"content-encoding: {_cut(encoding)} came; the router reads plain bodies only.")


def malformed_length(length: bytes) -> MalformedBodyError:
    """The refusal of a length that is no number."""
    return MalformedBodyError(
        f"content-length: {_cut(length)} came; that is no number of bytes.",
        fix="Send the number of bytes in the body in decimal digits, or leave the header to your HTTP client.",
    )


def _cut(value: bytes) -> str:
    return repr(value[:HEADER_SHOWN_BYTES_MAX].decode("latin-1"))
