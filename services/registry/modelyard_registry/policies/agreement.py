"""What fulfils a policy that demands approvals: the request, who agreed to it, and with which words."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The transition request that a move fulfils, and who agreed to it, when and with which words."""

    request_id: UUID
    requested_by: str
    approvals: tuple[dict[str, Any], ...]

    @property
    def approvers(self) -> tuple[str, ...]:
        """Who agreed, in the order in which they did."""
        return tuple(approval["actor"] for approval in self.approvals)

    def document(self) -> dict[str, Any]:
        """It as an audit entry has it."""
        return {
            "request_id": str(self.request_id),
            "requested_by": self.requested_by,
            "approvals": list(self.approvals),
        }
