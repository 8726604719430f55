"""A check of a version, and who may record one: never whoever made the version."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from modelyard_runtime.access.principals import Identity
from modelyard_runtime.problems import ConflictError

CHECKS_MAX = 1_000


class CheckKind(StrEnum):
    """What was done with a version."""

    TESTS = "tests"
    SECURITY_SCAN = "security_scan"


class CheckOutcome(StrEnum):
    """How it ended."""

    PASSED = "passed"
    FAILED = "failed"


class OwnVersionError(ConflictError):
    """Nobody checks a version that they made."""

    code = "own-version"
    status = 403
    when = "The caller made the version, or may be the person who made it, and records a check of it."
    fix = "Let the service that tests or scans record the check, with a token of its own from an operator."


class OtherDigestError(ConflictError):
    """The check is of another artifact than the version's."""

    code = "other-digest"
    when = "The check names another digest than the version's artifact has."
    fix = "Check the artifact of this version, and send its digest."


class TooManyChecksError(ConflictError):
    """The version has as many checks as it may have."""

    code = "too-many-checks"
    when = "The version has as many checks as the limit allows."
    fix = "Register another version."


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a service found; `digest` is that of the artifact that it looked at."""

    id: UUID
    kind: CheckKind
    outcome: CheckOutcome
    digest: str
    report_url: str | None
    report_digest: str | None
    details: str | None
    recorded_at: datetime
    recorded_by: str


def refuse_own_version(who: Identity, *, created_by: str, subject: str) -> None:
    """Raise OwnVersionError when one person or machine can be behind the version and its check."""
    if who.may_be(Identity(actor=created_by, stands_for=created_by)):
        raise OwnVersionError(f"{who.actor} may be who made {subject}: {created_by}.")
