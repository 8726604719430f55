"""The versions that come before the served one in the order of rules and do not answer, and why."""

from dataclasses import dataclass

NOT_IN_DOCUMENT = "is champion, but is not among the versions that may answer"
QUARANTINED = "is champion, but quarantined"
NOT_APPOINTED = "is in production, but nobody has made it the champion"
KILLED = "is champion, but a kill switch sends its callers to the global champion"


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A version, as `model/number`, and why it does not answer."""

    version: str
    why: str


def passed_over(model: str, number: int, why: str) -> PassedOver:
    """Return that this version does not answer, and why."""
    return PassedOver(version=f"{model}/{number}", why=why)
