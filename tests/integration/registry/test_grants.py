"""Roles are granted to whoever an identity provider can vouch for, whatever letters its subjects have."""

from urllib.parse import quote

import pytest

from tests.integration.registry.door import Door

pytestmark = pytest.mark.integration

GRANTS = "/access/grants"


@pytest.mark.parametrize(
    "actor",
    [
        "corp:alice",
        "corp:auth0|5f7c8ec7",
        "corp:team/alice",
        "corp:team%2Falice",
        "corp:100%",
        "corp:Zoë Müller",
        "corp:" + "ü" * 200,
        "a-provider-of-thirty-one-letters:" + "\U00020000" * 200,
        "alice",
    ],
)
async def test_every_subject_of_an_identity_provider_can_be_granted_roles(door: Door, actor: str) -> None:
    granted = await door.call("PUT", f"{GRANTS}/{quote(actor, safe='')}", {"roles": ["viewer"]})

    listed = (await door.call("GET", GRANTS)).expect(200)["items"]
    assert granted.expect(200)["actor"] == actor
    assert actor in [each["actor"] for each in listed]


@pytest.mark.parametrize(
    "actor", [":nobody", "corp:", "a/b:c", "corp:a\u0000b", "corp:\u202ealice", "corp:" + "x" * 400]
)
async def test_what_no_provider_can_vouch_for_is_refused_with_how_to_write_it(door: Door, actor: str) -> None:
    refused = await door.call("PUT", f"{GRANTS}/{quote(actor, safe='')}", {"roles": ["viewer"]})

    assert refused.status == 422
    assert refused.document["detail"].startswith("path.actor: ")


async def test_an_encoded_slash_and_its_spelling_are_two_actors_also_under_one_key(door: Door) -> None:
    key = {"idempotency-key": f"grant-{door.project}"}
    first = await door.call("PUT", f"{GRANTS}/corp:a%2Fb", {"roles": ["viewer"]}, headers=key)

    other = await door.call("PUT", f"{GRANTS}/corp:a%252Fb", {"roles": ["viewer"]}, headers=key)
    again = await door.call("PUT", f"{GRANTS}/corp%3Aa%2fb", {"roles": ["viewer"]}, headers=key)

    assert other.status == 409
    assert again.document == first.document
    assert [each["actor"] for each in (await door.call("GET", GRANTS)).expect(200)["items"]] == ["corp:a/b"]


@pytest.mark.parametrize(("one", "another"), [("a?x", "a?y"), ("a#x", "a#y")])
async def test_a_key_is_not_taken_for_another_actor_behind_a_question_mark(door: Door, one: str, another: str) -> None:
    key = {"idempotency-key": f"grant-{door.project}"}
    (await door.call("PUT", f"{GRANTS}/{quote(f'corp:{one}')}", {"roles": ["viewer"]}, headers=key)).expect(200)

    refused = await door.call("PUT", f"{GRANTS}/{quote(f'corp:{another}')}", {"roles": ["viewer"]}, headers=key)

    assert refused.status == 409
