"""URLs that callers give and services will ask."""

from modelyard_runtime.fetch import FetchRefusedError
from modelyard_runtime.problems import InvalidRequestError

from modelyard_registry.api.calls import Call


class OutboundUrlRefusedError(InvalidRequestError):
    """The URL leads where Modelyard's services may not ask."""

    code = "outbound-url-refused"
    when = "A URL in the request leads to an address that the services may not call."
    fix = "Give a public address, or ask the operators to list its network in MODELYARD_OUTBOUND_ALLOW."


def refuse_unless_outbound(call: Call, url: str) -> None:
    """Judge a URL as the services will that ask it. Names are not resolved here: they are judged at each request.

    Raises OutboundUrlRefusedError.
    """
    try:
        call.services.outbound.refuse_unless_allowed(url)
    except FetchRefusedError as error:
        raise OutboundUrlRefusedError(f"The URL is not allowed: {error}.") from error
