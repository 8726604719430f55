"""The first admin: a token that is made once, when nobody could let anyone in, and written where only we can read it.

There is no default password and no sign-up. Whoever can read the file, on the registry's own machine, is trusted;
they issue real tokens with it and revoke it. It ends after a week in any case, and a registry that starts without
any admin left makes another.
"""

import os
from datetime import timedelta
from pathlib import Path

import structlog
from modelyard_runtime.access.permissions import ALL_PROJECTS, Permission, Role
from modelyard_runtime.access.principals import ADMIN_EVERYWHERE, Principal, Principals
from modelyard_runtime.clock import Clock

from modelyard_registry.access.domain import IssueToken
from modelyard_registry.access.handlers import issue_token
from modelyard_registry.access.store import has_admin
from modelyard_registry.transactions import RequestContext, UnitOfWork

ACTOR = "bootstrap-admin"
LIFETIME = timedelta(days=7)
LOCK_KEY = 0x626F6F74  # "boot": registries that start at once take turns.
OWNER_ONLY = 0o600

log = structlog.get_logger()


class BootstrapTokenNotWrittenError(Exception):
    """The first admin's token could not be written to its file."""


async def ensure_admin(
    unit_of_work: UnitOfWork, *, principals: Principals, file: Path, clock: Clock, request_id: str
) -> bool:
    """Issue the bootstrap token into `file` unless somebody manages access already; answers whether it did.

    Raises BootstrapTokenNotWrittenError when the file cannot be written: then there is no token either.
    """
    if principals.anyone_may(Permission.ACCESS_MANAGE, ALL_PROJECTS):
        return False
    context = RequestContext(actor=ACTOR, request_id=request_id, correlation_id=request_id, causation_id=None)
    async with unit_of_work(context) as tx:
        await tx.connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
        if await has_admin(tx.connection, now=tx.now):
            return False
        command = IssueToken(
            actor=ACTOR,
            project=ALL_PROJECTS,
            roles=frozenset({Role.ADMIN}),
            scopes=None,
            expires_at=clock() + LIFETIME,
            description="made at the first start; issue your own and revoke this one",
        )
        _, secret = await issue_token(tx, command, issuer=Principal(actor=ACTOR, roles=ADMIN_EVERYWHERE))
        # Before the commit: a token that nobody can read must not exist.
        try:
            _write_for_owner(file, secret)
        except OSError as error:
            raise BootstrapTokenNotWrittenError(
                f"cannot write {file}: {error}; let MODELYARD_BOOTSTRAP_TOKEN_FILE name a path that can be written"
            ) from error
    log.warning("bootstrap_token_written", file=str(file), expires_in_days=LIFETIME.days)
    return True


def _write_for_owner(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    # Made anew with its mode: a file or a link that somebody else has put there is never written to.
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    with os.fdopen(handle, "w", encoding="utf-8") as opened:
        opened.write(text + "\n")
