"""A promotion that needs somebody else's consent: the policy, the gates, the request, and who may not agree to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from modelyard_examples.demo.screen import Screen
from modelyard_examples.demo.world import PROJECT, World
from modelyard_examples.registry_client import Document, RegistryClient, RegistryError

APPROVER = "rita"
REQUESTER = "sam"
TOKEN_LIFETIME = timedelta(hours=1)
POLICY = {
    "moves": [
        {
            "to_stage": "production",
            "approvals": {"count": 1, "role": "approver"},
            "gates": [
                {"gate": "no_worse_than_champion", "margin": 0.0},
                {"gate": "security"},
                {"gate": "operational_readiness", "needs": ["endpoint", "rollback_target"]},
            ],
        }
    ],
    "reason": "loans are priced by it",
}


async def govern(screen: Screen, world: World, candidate: Document) -> None:
    """Take the candidate to production under a policy that wants its gates passed and somebody else to agree."""
    screen.act(
        "Govern", "A policy guards production: the gates must pass, and somebody other than the requester agrees."
    )
    path = f"/registered-models/{candidate['model']}"
    version_path = f"{path}/versions/{candidate['number']}"
    move = {"to_stage": "production", "reason": "won the experiment"}
    await world.registry.call("PUT", f"{path}/policy", POLICY)
    preview = await world.registry.call("POST", f"{version_path}/transitions/dry-run", {"to_stage": "production"})
    screen.table(
        "gate", "verdict", "because",
        rows=[(each["gate"], "passed" if each["passed"] else "failed", each["reason"]) for each in preview["verdicts"]],
    )  # fmt: skip
    alone = await _refusal(world.registry, f"{version_path}/transitions", move)
    screen.claim(
        "nobody takes a guarded version to production alone, not even an admin",
        held=alone is not None and alone.status == 409,
        seen=str(alone or "it was allowed"),
    )

    async with _client(world, REQUESTER, roles=["data_scientist", "approver"]) as requester:
        request = await requester.call("POST", f"{version_path}/transition-requests", move)
        decision = f"/transition-requests/{request['request_id']}/approve"
        own = await _refusal(requester, decision, {"comment": "I trust myself"})
    async with _client(world, APPROVER, roles=["approver"]) as approver:
        agreed = await approver.call("POST", decision, {"comment": "read the report"})
    (made, *_) = (await world.registry.call("GET", f"{version_path}/transitions"))["items"]
    screen.claim(
        "the requester's own approval is refused, and somebody else's makes the move",
        held=own is not None and (agreed["state"], made["request_id"]) == ("applied", request["request_id"]),
        seen=f"{own or 'it was allowed'} · {APPROVER} agreed: {agreed['state']}, {made['to_stage']}",
    )


async def _refusal(client: RegistryClient, path: str, document: Document) -> RegistryError | None:
    try:
        await client.call("POST", path, document)
    except RegistryError as error:
        return error
    return None


@asynccontextmanager
async def _client(world: World, actor: str, *, roles: list[str]) -> AsyncIterator[RegistryClient]:
    """The registry as somebody sees it who has these roles in this project."""
    token = await _token_of(world, actor, roles=roles)
    async with RegistryClient(world.system.service("registry").url, token=token, project=PROJECT) as client:
        yield client


async def _token_of(world: World, actor: str, *, roles: list[str]) -> str:
    """A token for an hour, issued by the admin."""
    wanted = {
        "actor": actor,
        "project": PROJECT,
        "roles": roles,
        "expires_at": (datetime.now(UTC) + TOKEN_LIFETIME).isoformat(),
    }
    async with world.http.post(
        f"{world.system.service('registry').url}/api/v1/access/tokens",
        json=wanted,
        headers={"Authorization": f"Bearer {world.system.tokens['ada']}"},
    ) as answer:
        answer.raise_for_status()
        return str((await answer.json())["token"])
