"""Shares are basis points; what they mean is said in percent."""

import pytest
from modelyard_events.registry import ExperimentVariant
from modelyard_registry.experiments.shares import percent_of, shares_in_words


@pytest.mark.parametrize(
    ("basis_points", "percent"),
    [(0, "0"), (1, "0.01"), (20, "0.2"), (100, "1"), (1_050, "10.5"), (9_999, "99.99"), (10_000, "100")],
)
def test_basis_points_are_told_as_exact_percent(basis_points: int, percent: str) -> None:
    assert percent_of(basis_points) == percent


def test_whoever_meant_twenty_percent_reads_what_twenty_basis_points_are() -> None:
    control = ExperimentVariant(name="control", role="control", model="risk", number=1, share_bp=9_980)
    treatment = ExperimentVariant(name="treatment", role="treatment", model="risk", number=2, share_bp=20)

    words = shares_in_words([control, treatment], traffic_bp=5_000)

    assert words == (
        "Of the units in the experiment control serves 99.8 %, treatment serves 0.2 %;"
        " 50 % of the covered units are in it."
    )
