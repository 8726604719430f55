"""What an experiment's shares mean, in words: a share of 20 is 0.2 %, and whoever meant 20 % sees it at once."""

from collections.abc import Sequence
from decimal import Decimal

from modelyard_events.registry import ExperimentVariant


def shares_in_words(variants: Sequence[ExperimentVariant], *, traffic_bp: int) -> str:
    """How units are shared out, in percent, from shares in basis points."""
    shares = ", ".join(f"{each.name} serves {percent_of(each.share_bp)} %" for each in variants)
    return f"Of the units in the experiment {shares}; {percent_of(traffic_bp)} % of the covered units are in it."


def percent_of(basis_points: int) -> str:
    """Basis points as percent, without needless zeros."""
    return f"{Decimal(basis_points).scaleb(-2).normalize():f}"
