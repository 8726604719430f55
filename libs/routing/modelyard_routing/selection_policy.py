"""Whether an industry's champion is worth it, and so serves instead of the global champion."""

from modelyard_events.routes import RoutableVersion, SelectionPolicy


def why_not_worth_it(version: RoutableVersion, policy: SelectionPolicy) -> str | None:
    """Return why an industry's champion does not serve, or None when it does. The sentence goes on after its name."""
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
