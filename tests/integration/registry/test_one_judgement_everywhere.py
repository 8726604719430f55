"""The registry, from its tables, and every other service, from the access topic, judge each token alike."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from modelyard_events.access import ApiTokenChanged, RolesGranted
from modelyard_events.codec import encode
from modelyard_events.envelope import Envelope
from modelyard_registry.access.authentication import Authentication as RegistrysAuthentication
from modelyard_runtime.access.access_state import AccessState
from modelyard_runtime.access.authentication import Authentication
from modelyard_runtime.access.issuers import IssuerSettings
from modelyard_runtime.access.oidc import IdentityProviders
from modelyard_runtime.access.permissions import Permission, Role
from modelyard_runtime.access.principals import Authenticates, Principals
from modelyard_runtime.access.tokens import new_token
from modelyard_runtime.access.unknown_callers import UnknownCallers
from modelyard_runtime.fetch import Fetcher
from modelyard_runtime.kafka_connection import KafkaConnection
from modelyard_runtime.problems import UnauthenticatedError
from pydantic import SecretStr

from tests.integration.registry.door import Door
from tests.world.issuer import AUDIENCE, Issuer, an_ec_key, an_rsa_key, open_issuer

pytestmark = pytest.mark.integration

NAMED = {"ada": SecretStr("a-token-of-ada"), "vic": SecretStr("a-token-of-vic")}
NAMED_ROLES = {"vic": {"default": frozenset({Role.VIEWER})}}
EVENTS: dict[str, type[ApiTokenChanged | RolesGranted]] = {each.type: each for each in (ApiTokenChanged, RolesGranted)}


@dataclass
class AccessRecord:
    """A record as a consumer of the access topic gets it."""

    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


@dataclass
class Judges:
    """Both ways to judge, over the same facts."""

    door: Door
    registry: Authenticates
    elsewhere: Authenticates
    access: AccessState

    async def tell(self) -> None:
        """Let the other services know what the registry has said so far."""
        async with self.door.database.acquire() as connection:
            rows = await connection.fetch(
                "SELECT key, event_id::text, type, sequence, payload, occurred_at FROM outbox"
                " WHERE topic = 'access.v1' ORDER BY id"
            )
        self.access.apply([_record(dict(row)) for row in rows])

    async def verdicts(self, token: str | None) -> tuple[Any, Any]:
        """What each of both says of a token: the actor and what it may do where, or why it proves nobody."""
        return await self._verdict(self.registry, token), await self._verdict(self.elsewhere, token)

    async def _verdict(self, judge: Authenticates, token: str | None) -> Any:
        try:
            principal = await judge.authenticate(token)
        except UnauthenticatedError as error:
            return error.reason, error.detail
        return principal.actor, {
            (project, permission)
            for project in (self.door.project, "another", "*")
            for permission in Permission
            if principal.may(permission, project)
        }


@asynccontextmanager
async def both(door: Door, issuer: Issuer) -> AsyncIterator[Judges]:
    """Both ways to judge; they believe this issuer."""
    believed = IssuerSettings(
        name="corp",
        issuer=issuer.url,
        audience=AUDIENCE,
        roles_claim="groups",
        role_claims={"ml": {door.project: frozenset({Role.DATA_SCIENTIST})}, "ops": {"*": frozenset({Role.VIEWER})}},
    )
    async with Fetcher(allow=["127.0.0.0/8"]) as fetcher:

        def providers() -> IdentityProviders:
            return IdentityProviders([believed], fetcher=fetcher, clock=door.clock, seconds=lambda: 0.0)

        unknown = UnknownCallers(clock=door.clock)
        access = AccessState(
            kafka=KafkaConnection(bootstrap=""), prefix="", keys=None, seconds=lambda: 0.0, clock=door.clock
        )
        access.has_caught_up = True
        yield Judges(
            door=door,
            registry=RegistrysAuthentication(
                Principals(NAMED, roles=NAMED_ROLES),
                database=door.database,
                clock=door.clock,
                unknown=unknown,
                providers=providers(),
            ),
            elsewhere=Authentication(
                Principals(NAMED, roles=NAMED_ROLES, issued=access),
                grants=access,
                providers=providers(),
                unknown=unknown,
            ),
            access=access,
        )


async def issue(door: Door, **facts: Any) -> dict[str, Any]:
    """A token of the door's project for an hour."""
    expires_at = (door.clock.now + timedelta(hours=1)).isoformat()
    document = {"actor": "vera", "project": door.project, "roles": ["viewer"], "expires_at": expires_at, **facts}
    issued: dict[str, Any] = (await door.http.call("POST", "/api/v1/access/tokens", document)).expect(201)
    return issued


async def test_every_token_is_judged_alike(door: Door) -> None:
    grants = f"/api/v1/projects/{door.project}/access/grants"
    (await door.http.call("PUT", f"{grants}/corp:alice", {"roles": ["approver", "viewer"]})).expect(200)
    (await door.http.call("PUT", f"{grants}/corp:bob", {"roles": ["admin"]})).expect(200)
    (await door.http.call("PUT", f"{grants}/corp:bob", {"roles": []})).expect(200)
    revoked = await issue(door)
    (await door.http.call("DELETE", f"/api/v1/access/tokens/{revoked['token_id']}")).expect(200)
    brief = await issue(door, expires_at=(door.clock.now + timedelta(minutes=1)).isoformat())
    door.clock.now += timedelta(minutes=2)

    async with open_issuer(an_rsa_key("r1"), an_ec_key("e1")) as issuer, both(door, issuer) as judges:
        now_s = int(door.clock.now.timestamp())
        times: dict[str, Any] = {"iat": now_s, "exp": now_s + 300}
        tokens = {
            "named": "a-token-of-ada",
            "named with roles": "a-token-of-vic",
            "issued": (await issue(door))["token"],
            "narrowed": (await issue(door, roles=["admin"], scopes=["models:read", "audit:read"]))["token"],
            "everywhere": (await issue(door, project="*", roles=["auditor"]))["token"],
            "revoked": revoked["token"],
            "expired": brief["token"],
            "made up": new_token(),
            "granted": issuer.token(**times),
            "granted and claimed": issuer.token(groups=["ml", "ops", "else"], **times),
            "granted once": issuer.token(sub="bob", **times),
            "claimed": issuer.token(issuer.keys[1], sub="carla", groups="ops", **times),
            "nobody's roles": issuer.token(sub="dora", **times),
            "a stale token of the issuer": issuer.token(iat=now_s - 900, exp=now_s - 600),
            "of a key that is not there": issuer.token(header={"kid": "r9"}, **times),
            "of another issuer": issuer.token(iss="https://elsewhere.example", **times),
            "an identity token": issuer.token(header={"typ": "JWT"}, **times),
            "letters": "x.y.z",
            "none": None,
        }
        await judges.tell()

        verdicts = {name: await judges.verdicts(token) for name, token in tokens.items()}
        # Again: what was remembered of the first time must say the same.
        again = {name: await judges.verdicts(token) for name, token in tokens.items()}

    assert {name: here for name, (here, _) in verdicts.items()} == {
        name: there for name, (_, there) in verdicts.items()
    }
    assert again == verdicts
    reasons = {name: here[0] for name, (here, _) in verdicts.items()}
    assert reasons["granted"] == reasons["granted and claimed"] == "corp:alice"
    assert (reasons["revoked"], reasons["expired"], reasons["made up"]) == ("revoked", "expired", "unknown")
    assert (door.project, Permission.VERSIONS_APPROVE) in verdicts["granted"][0][1]
    assert (door.project, Permission.VERSIONS_REGISTER) in verdicts["granted and claimed"][0][1]
    assert ("another", Permission.VERSIONS_APPROVE) not in verdicts["granted and claimed"][0][1]
    assert verdicts["granted once"][0][1] == set()


def _record(row: dict[str, Any]) -> AccessRecord:
    event = EVENTS[row["type"]].model_validate(json.loads(row["payload"]))
    envelope = Envelope(
        id=row["event_id"],
        source="/modelyard/registry",
        type=row["type"],
        subject=row["key"],
        occurred_at=row["occurred_at"],
        sequence=row["sequence"],
        generation=1,
    )
    record = encode(event, envelope)
    return AccessRecord(record.key or b"", record.value, record.headers)
