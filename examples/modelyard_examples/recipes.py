"""Which models there are, and how each is made: the fields it sees, the loans it learns from, the algorithm.

The global model is plain on purpose: it uses only what everyone writes on the application form. The
industry models read the credit history as well, and that is why they are better. Parameters were chosen once
and not tuned on the held-out loans.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from modelyard_examples.loan_fields import ALL_FIELDS, APPLICATION_FIELDS, LoanField

MODEL_TYPE = "risk_scoring"
GLOBAL_MODEL = "risk-scoring"

Parameter = int | float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one model version is made. `industry` is a loan purpose; None learns from all loans."""

    name: str
    model: str
    industry: str | None
    description: str
    fields: tuple[LoanField, ...]
    algorithm: type[Any]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    @property
    def primary_metric(self) -> str:
        """The metric that the registered model is judged by: the error on the loans that it is for."""
        return metric_of(self.industry)

    def registered_model(self) -> dict[str, object]:
        """The registered model that versions of this recipe belong to, as the registry's API takes it."""
        document: dict[str, object] = {
            "name": self.model,
            "model_type": MODEL_TYPE,
            "scope": "industry" if self.industry else "global",
            "primary_metric": self.primary_metric,
            "higher_is_better": False,
            "description": f"The interest rate that a loan deserves: {self.industry or 'any purpose'}.",
            "owner": "lending",
        }
        return document | ({"industry": self.industry} if self.industry else {})

    def pipeline(self) -> Any:
        """A fresh scikit-learn pipeline: words to indicators, numbers as they are or scaled, algorithm."""
        words = [field.name for field in self.fields if field.datatype == "BYTES"]
        numbers = [field.name for field in self.fields if field.datatype != "BYTES"]
        scale = StandardScaler() if self.algorithm is LinearRegression else "passthrough"
        encode = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        columns = ColumnTransformer([("numbers", scale, numbers), ("words", encode, words)])
        return Pipeline([("columns", columns), ("regressor", self.algorithm(**self.parameters))])


def metric_of(industry: str | None) -> str:
    """The root mean square error, in percentage points of interest, on the held-out loans of an industry.

    A global version carries it for every industry too, under the same name and on the same loans: that is
    what makes parent and child comparable.
    """
    return f"rmse_{industry}" if industry else "rmse"


GLOBAL_V1 = Recipe(
    name="global",
    model=GLOBAL_MODEL,
    industry=None,
    description="Linear regression on what everyone writes on the application form.",
    fields=APPLICATION_FIELDS,
    algorithm=LinearRegression,
)

GLOBAL_V2 = Recipe(
    name="global-boosted",
    model=GLOBAL_MODEL,
    industry=None,
    description="Gradient boosting on what everyone writes on the application form.",
    fields=APPLICATION_FIELDS,
    algorithm=GradientBoostingRegressor,
    parameters={"n_estimators": 80, "max_depth": 3, "random_state": 1},
)

DEBT_CONSOLIDATION_V1 = Recipe(
    name="debt-consolidation",
    model=f"{GLOBAL_MODEL}-debt-consolidation",
    industry="debt_consolidation",
    description="Random forest on application form and credit history.",
    fields=ALL_FIELDS,
    algorithm=RandomForestRegressor,
    parameters={"n_estimators": 60, "max_depth": 10, "min_samples_leaf": 5, "n_jobs": 2, "random_state": 1},
)

DEBT_CONSOLIDATION_V2 = Recipe(
    name="debt-consolidation-boosted",
    model=f"{GLOBAL_MODEL}-debt-consolidation",
    industry="debt_consolidation",
    description="Gradient boosting on application form and credit history.",
    fields=ALL_FIELDS,
    algorithm=GradientBoostingRegressor,
    parameters={
        "n_estimators": 150,
        "max_depth": 4,
        "learning_rate": 0.08,
        "subsample": 0.8,
        "random_state": 1,
    },
)

CREDIT_CARD_V1 = Recipe(
    name="credit-card",
    model=f"{GLOBAL_MODEL}-credit-card",
    industry="credit_card",
    description="Gradient boosting on application form and credit history; better, but from few loans.",
    fields=ALL_FIELDS,
    algorithm=GradientBoostingRegressor,
    parameters={"n_estimators": 100, "max_depth": 3, "subsample": 0.8, "random_state": 1},
)

RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (GLOBAL_V1, GLOBAL_V2, DEBT_CONSOLIDATION_V1, DEBT_CONSOLIDATION_V2, CREDIT_CARD_V1)
}
"""Every recipe by its name on the command line."""
