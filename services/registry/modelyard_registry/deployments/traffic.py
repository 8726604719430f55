"""Which versions can get traffic without another agreement: where they answer is part of what was agreed to. Pure."""

from modelyard_events.values import Endpoint, Stage

from modelyard_registry.routes.domain import ROUTABLE_STAGES


def guarding_stage(stage: Stage, *, is_compared: bool) -> Stage | None:
    """The stage whose approvals a new endpoint of such a version needs; None when the version can get no traffic.

    `is_compared` when a running experiment names it. A deprecated version counts as one in production: a rollback
    restores it, and routes fall back to it.
    """
    if stage in ROUTABLE_STAGES:
        return stage
    if stage is Stage.DEPRECATED:
        return Stage.PRODUCTION
    return Stage.CANARY if is_compared else None


def endpoint_changes(agreed: Endpoint | None, now: Endpoint | None) -> tuple[str, ...]:
    """What is different about an endpoint since people agreed to it, in words; nothing when nobody had to agree."""
    if agreed is None:
        return ()
    before = agreed.model_dump(mode="json", exclude={"revision"})
    after = {} if now is None else now.model_dump(mode="json", exclude={"revision"})
    return tuple(
        f"{name} was {_short(value)} and is {_short(after.get(name))}"
        for name, value in before.items()
        if value != after.get(name)
    )


def _short(value: object) -> str:
    return str(value)[:200]
