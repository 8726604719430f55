"""Roles are granted to whoever an identity provider can vouch for, whatever letters its subjects have."""

from urllib.parse import quote

import pytest

from tests.integration.registry.door import Door

pytestmark = pytest.mark.integration

GRANTS = "/access/grants"


@pytest.mark.parametrize("actor", ["corp:alice", "corp:auth0|5f7c8ec7", "corp:team/alice", "corp:Zoë Müller", "alice"])
async def test_every_subject_of_an_identity_provider_can_be_granted_roles(door: Door, actor: str) -> None:
    granted = await door.call("PUT", f"{GRANTS}/{quote(actor, safe='')}", {"roles": ["viewer"]})

    listed = (await door.call("GET", GRANTS)).expect(200)["items"]
    assert granted.expect(200)["actor"] == actor
    assert actor in [each["actor"] for each in listed]


@pytest.mark.parametrize(
    "actor", [":nobody", "corp:", "a/b:c", "corp:a\u0000b", "corp:\u202ealice", "corp:" + "x" * 200]
)
async def test_what_no_provider_can_vouch_for_is_refused_with_how_to_write_it(door: Door, actor: str) -> None:
    refused = await door.call("PUT", f"{GRANTS}/{quote(actor, safe='')}", {"roles": ["viewer"]})

    assert refused.status == 422
    assert refused.document["detail"].startswith("path.actor: ")
