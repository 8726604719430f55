"""Metric names that mean the same everywhere, and in which direction each is better.

Evidence may carry any metric under any name; these are the names to prefer, because the registry knows their direction.
"""

from typing import Final

LOWER_IS_BETTER: Final = frozenset({"mse", "mae", "rmse", "perplexity"})
HIGHER_IS_BETTER: Final = frozenset(
    {
        "r2_score", "accuracy", "precision", "recall", "f1_score", "auc", "ndcg", "map", "bleu",
        "validation_score", "test_score",
    }
)  # fmt: skip

STANDARD_METRICS: Final = LOWER_IS_BETTER | HIGHER_IS_BETTER


def is_higher_better(metric: str | None) -> bool | None:
    """The direction of a standard metric; None when the name is not a standard one."""
    if metric in HIGHER_IS_BETTER:
        return True
    return False if metric in LOWER_IS_BETTER else None
