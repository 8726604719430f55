"""Publishing the routing document, and changing what people set about it."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from modelyard_events.routes import RouteChanged
from modelyard_events.topics import ROUTES

from modelyard_registry.routes import store
from modelyard_registry.routes.domain import RouteSettings, build_document, says_the_same
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

Change = Callable[[RouteSettings], RouteSettings]


async def publish_route(tx: Transaction, *, project: str, model_type: str) -> None:
    """Publish the routing document as it is after this transaction's changes; nothing when it says the same.

    Called last, after all other locks are taken: the route row's lock orders the documents, and what is
    built behind it sees every change that was committed before.
    """
    row = await store.lock_route(tx.connection, project=project, model_type=model_type)
    await _publish(tx, row, project=project, model_type=model_type)


async def change_route_settings(
    tx: Transaction,
    change: Change,
    *,
    project: str,
    model_type: str,
    action: AuditAction,
    reason: str | None = None,
) -> RouteChanged:
    """Apply `change` to the settings, write what differs to the audit log, and publish the new document.

    Returns the document that holds now. Nothing happens when the settings stay the same.
    """
    row = await store.lock_route(tx.connection, project=project, model_type=model_type)
    settings = change(row.settings)
    if settings != row.settings:
        await store.save_settings(tx.connection, settings, project=project, model_type=model_type)
        before, after = _differences(row.settings, settings)
        await tx.record_audit(
            project=project,
            action=action,
            subject=f"routes/{model_type}",
            before=before,
            after=after,
            reason=reason,
        )
    changed = store.RouteRow(sequence=row.sequence, settings=settings, document=row.document)
    return await _publish(tx, changed, project=project, model_type=model_type)


async def _publish(tx: Transaction, row: store.RouteRow, *, project: str, model_type: str) -> RouteChanged:
    state = await store.load_state(tx.connection, project=project, model_type=model_type, settings=row.settings)
    document = build_document(state, revision=row.sequence + 1)
    if says_the_same(document, stored=row.document):
        return document.model_copy(update={"revision": max(row.sequence, 1)})
    await store.save_document(tx.connection, document)
    await tx.append_fact(ROUTES, document, key=f"{project}/{model_type}", sequence=document.revision)
    return document


def _differences(before: RouteSettings, after: RouteSettings) -> tuple[dict[str, Any], dict[str, Any]]:
    old, new = _plain(before), _plain(after)
    names = [name for name in old if old[name] != new[name] and name != "feature_source_revision"]
    return {name: old[name] for name in names}, {name: new[name] for name in names}


def _plain(settings: RouteSettings) -> dict[str, Any]:
    source = settings.feature_source
    return {
        **asdict(settings),
        "policy": settings.policy.model_dump(mode="json"),
        "feature_source": source.model_dump(mode="json") if source is not None else None,
        "kill_switches": [each.model_dump(mode="json") for each in settings.kill_switches],
    }
