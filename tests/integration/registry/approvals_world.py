"""People around a guarded move: who asks, who may agree, and what they send."""

from dataclasses import dataclass, replace
from typing import Any

from tests.integration.registry.door import Document, Door, versions
from tests.world.http_client import Reply

TOKENS = {
    "ann": "anns-token",
    "bob": "bobs-token",
    "cem": "cems-token",
    "dee": "dees-token",
    "eve": "eves-token",
    "fay": "fays-token",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """A project in which a move to production needs approvals."""

    door: Door

    def by(self, actor: str) -> Door:
        """The door as `actor` sees it."""
        return replace(self.door, http=replace(self.door.http, token=TOKENS[actor]))

    async def demand(self, count: int = 1, **facts: Any) -> None:
        """Set the policy: so many approvals before production."""
        move = {"to_stage": "production", "approvals": {"count": count, "role": "approver"}, **facts}
        (await self.door.call("PUT", "/policies", {"moves": [move]})).expect(200)

    async def staged(self, name: str = "risk", **facts: object) -> int:
        """A version in staging that could go on; answers its number."""
        number = int((await self.door.register(name, **facts))["number"])
        await self.door.deploy(number, name=name)
        (await self.door.move(number, "staging", name=name)).expect(200)
        return number

    async def ask(self, number: int, *, name: str = "risk", actor: str = "ann", **facts: object) -> Reply:
        """Ask for the move to production."""
        path = f"{versions(name)}/{number}/transition-requests"
        return await self.by(actor).call("POST", path, {"to_stage": "production", **facts})

    async def asked(self, number: int, **facts: Any) -> str:
        """The id of a new request for the move to production."""
        return str((await self.ask(number, **facts)).expect(201)["request_id"])

    async def say(self, verb: str, request_id: str, *, actor: str, comment: str | None = None) -> Reply:
        """`approve`, `reject`, `withdraw` or `apply`, as `actor`."""
        path = f"/transition-requests/{request_id}/{verb}"
        return await self.by(actor).call("POST", path, {"comment": comment})

    async def state(self, request_id: str) -> str:
        """Where a request stands."""
        found: Document = (await self.door.call("GET", f"/transition-requests/{request_id}")).expect(200)
        return str(found["state"])
