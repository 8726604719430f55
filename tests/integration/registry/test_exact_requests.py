"""What a request says is taken at its word, and an address says what it takes."""

from typing import Any

import pytest

from tests.integration.registry.door import Door

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    "body",
    [
        {"improvement_min": False, "training_examples_min": 3000},
        {"improvement_min": 0.05, "training_examples_min": True},
        {"improvement_min": 0.05, "training_examples_min": "3000"},
    ],
)
async def test_a_truth_value_or_a_text_is_no_number(door: Door, body: dict[str, Any]) -> None:
    reply = await door.call("PUT", "/routes/risk_scoring/policy", body)

    assert (reply.status, reply.is_problem) == (422, True)
    assert await door.marks() == (0, 0)


async def test_a_whole_number_is_a_number_also_where_a_fraction_would_do(door: Door) -> None:
    body = {"improvement_min": 0, "training_examples_min": 3000}
    await door.create()

    (await door.call("PUT", "/routes/risk_scoring/policy", body)).expect(200)


@pytest.mark.parametrize("moment", ["0", "0.5", "1767225600", "2026-03-03", "2026-03-03T12:00:00"])
async def test_a_moment_is_spelled_out_with_its_offset(door: Door, moment: str) -> None:
    replies = [
        await door.call("GET", "/audit-entries", query={"created_after": moment}),
        await door.call("GET", "/registered-models", query={"created_after": moment}),
    ]

    assert [(reply.status, reply.is_problem) for reply in replies] == [(422, True)] * 2


@pytest.mark.parametrize("moment", ["2026-03-03T12:00:00Z", "2026-03-03T12:00:00.123456+01:00"])
async def test_a_moment_as_rfc_3339_writes_it_is_understood(door: Door, moment: str) -> None:
    (await door.call("GET", "/audit-entries", query={"created_after": moment})).expect(200)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("OPTIONS", "/registered-models", "GET, HEAD, POST"),
        ("PUT", "/registered-models/risk", "DELETE, GET, HEAD, PATCH"),
        ("PUT", "/artifacts/manifests", "POST"),
        ("GET", "/artifacts/manifests", "POST"),
    ],
)
async def test_an_address_says_which_methods_it_takes(door: Door, method: str, path: str, allow: str) -> None:
    url = f"{door.http.url}/api/v1/projects/{door.project}{path}"
    headers = {"Authorization": f"Bearer {door.http.token}"}

    async with door.http.session.request(method, url, headers=headers) as answer:
        body = await answer.read()

    assert (answer.status, answer.headers["Allow"]) == (405, allow)
    assert answer.content_type == "application/problem+json"
    assert b'"fix":"Use one of: ' in body


async def test_a_read_takes_no_notice_of_what_is_for_writes(door: Door) -> None:
    await door.create()

    (await door.call("GET", "/registered-models/risk", headers={"If-Match": 'W/"7"', "Idempotency-Key": "k"})).expect(
        200
    )
