"""What a fact of another service becomes in the audit log. Pure.

The registry has seen none of it itself: an entry is the service's report about somebody, never that person's own act.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from modelyard_events.envelope import Envelope
from modelyard_events.invalidations import EntityPurged
from modelyard_events.limits import ACTOR_CHARS_MAX
from modelyard_events.refusals import AccessRefused

from modelyard_registry.transactions.audit_actions import AuditAction, RefusedAction, permission_refused

REPORTERS = frozenset({"router", "cache_invalidator"})
"""The services that the broker lets write these facts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An audit entry to be written; `actor` is the service whose report it is."""

    actor: str
    request_id: str
    correlation_id: str | None
    causation_id: str
    project: str
    action: AuditAction | RefusedAction
    subject: str
    after: dict[str, Any]
    reason: str | None = None


def entry_of_refusal(envelope: Envelope, refused: AccessRefused) -> Entry:
    """The entry about callers who were refused by another service."""
    _, _, path = refused.operation.partition(" ")
    return Entry(
        actor=_reporter(refused.service),
        request_id=refused.request_id,
        correlation_id=envelope.correlation_id or refused.request_id,
        causation_id=envelope.id,
        project=refused.project,
        action=permission_refused(refused.permission),
        subject=f"services/{refused.service}{path}",
        after={
            "problem": "forbidden",
            "reported_by": refused.service,
            "refused_actor": refused.actor,
            "service": refused.service,
            "operation": refused.operation,
            "count": refused.count,
            "refused_at": envelope.occurred_at.isoformat(),
        },
        reason=f"Reported by the service {refused.service}: {refused.reason}",
    )


def entry_of_purge(envelope: Envelope, purged: EntityPurged, *, project: str) -> Entry | None:
    """The entry about a purge by hand; None for one that a system of record caused.

    An entity belongs to a tenant and to no project, so the entry is kept where all that is about no project is.
    """
    if purged.actor is None:
        return None
    subject = f"entities/{purged.tenant}/{purged.entity_type}/{quote(purged.entity_id, safe='')}"
    return Entry(
        actor=_reporter("cache_invalidator"),
        request_id=envelope.correlation_id or purged.caused_by,
        correlation_id=envelope.correlation_id,
        causation_id=envelope.id,
        project=project,
        action=AuditAction.ENTITY_PURGED,
        subject=subject,
        after={
            "reported_by": "cache_invalidator",
            "purging_actor": quote(purged.actor, safe="!#$&'()*+,/:;=?@[] ")[:ACTOR_CHARS_MAX],
            "service": "cache_invalidator",
            "purged_entries": purged.purged_entries,
            "caused_by": purged.caused_by,
            "purged_at": envelope.occurred_at.isoformat(),
        },
        reason="Reported by the service cache_invalidator.",
    )


def _reporter(service: str) -> str:
    """The actor of an entry that a service reported; no token, key or identity provider can prove such a name."""
    return f"service:{service if service in REPORTERS else 'unknown'}"
