"""Which endpoints are accepted, and when an endpoint's revision rises."""

import pytest
from modelyard_events.reported import ReportedFeature
from modelyard_events.values import Endpoint, Feature, Protocol
from modelyard_registry.deployments.domain import EndpointUrlInvalidError, decide_endpoint, refuse_bad_url

URL = "http://10.0.0.7:8080/v2/models/risk/versions/3/infer"
INCOME = Feature(name="income", datatype="FP64")


def an_endpoint(
    *,
    url: str = URL,
    inputs: tuple[Feature, ...] = (INCOME,),
    timeout_s: float = 2.0,
    before: Endpoint | None = None,
) -> Endpoint:
    return decide_endpoint(
        url=url, protocol=Protocol.OPEN_INFERENCE_V2, inputs=inputs, timeout_s=timeout_s, before=before
    )


def test_a_first_endpoint_has_revision_1() -> None:
    assert an_endpoint().revision == 1


def test_the_same_endpoint_again_is_equal() -> None:
    assert an_endpoint(before=an_endpoint()) == an_endpoint()


def test_the_same_inputs_as_a_request_has_them_are_equal() -> None:
    first = an_endpoint()

    assert an_endpoint(inputs=(ReportedFeature(name=INCOME.name, datatype=INCOME.datatype),), before=first) == first


def test_another_address_or_other_inputs_raise_the_revision() -> None:
    first = an_endpoint()

    moved = an_endpoint(url=URL + "2", before=first)
    asked_less = an_endpoint(url=URL + "2", inputs=(), before=moved)

    assert (moved.revision, asked_less.revision) == (2, 3)


def test_another_timeout_is_another_endpoint_for_one_that_is_too_short_answers_nobody() -> None:
    assert an_endpoint(timeout_s=9.0, before=an_endpoint()).revision == 2


@pytest.mark.parametrize("url", [URL, "https://models.example/x?a=b", "http://[::1]:80/", "http://host"])
def test_plain_http_and_https_are_accepted(url: str) -> None:
    refuse_bad_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "//host/x",
        "/v2/models",
        "http://",
        "http://:80/x",
        "http://host:99999/",
        "http://host:0/",
        "http://host:abc/",
        "http://ho st/",
        "http://host/\n",
        "http://host\\@evil/",
        "http://hóst/",
        "http://user@host/",
        "http://user:secret@host/",
        "http://host/#fragment",
        "http://[::1/",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(EndpointUrlInvalidError):
        refuse_bad_url(url)
