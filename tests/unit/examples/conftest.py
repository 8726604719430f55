"""Real loans and really fitted models, made once per session: they take seconds."""

from collections.abc import Mapping

import pytest
from modelyard_examples.fitting import FittedModel, fit
from modelyard_examples.loans import LoanData, read_split_loans
from modelyard_examples.recipes import RECIPES


@pytest.fixture(scope="session")
def loan_data() -> LoanData:
    return read_split_loans()


@pytest.fixture(scope="session")
def fitted_models(loan_data: LoanData) -> Mapping[str, FittedModel]:
    """Every model of the examples by its recipe's name."""
    return {name: fit(recipe, data=loan_data) for name, recipe in RECIPES.items()}


@pytest.fixture
def global_model(fitted_models: Mapping[str, FittedModel]) -> FittedModel:
    return fitted_models["global"]
