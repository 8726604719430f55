"""Who would have answered and did not, and why: told with every decision, found out when a document arrives."""

from dataclasses import dataclass

from modelyard_events.routes import RoutableVersion, SelectionPolicy

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
    """That this version is passed over, and why."""
    return PassedOver(version=f"{model}/{number}", why=why)


def why_not_worth_it(version: RoutableVersion, policy: SelectionPolicy) -> str | None:
    """Why an industry's champion does not serve instead of the global one; None when it does."""
    examples, improvement = version.training_examples, version.improvement
    if examples is None:
        return "is champion of its industry, but its number of training examples is not known"
    if examples <= policy.training_examples_min:
        return (
            f"is champion of its industry, but has {examples} training examples;"
            f" more than {policy.training_examples_min} are needed"
        )
    if improvement is None:
        return "is champion of its industry, but its improvement on the version that it is compared with is not known"
    if improvement <= policy.improvement_min:
        return (
            f"is champion of its industry, but is better by {improvement:.2%};"
            f" more than {policy.improvement_min:.2%} is needed"
        )
    return None
