"""Each field accepts what a loan can have, and says what that is when it gets anything else."""

import math

import pytest
from modelyard_examples.loan_fields import FieldError, checked_change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, "names no field"),
        ({"interest_rate": 5.0}, "no field 'interest_rate' that can be changed"),
        ({"state": "CA"}, "no field 'state' that can be changed"),
        ({"term": 48}, "term must be one of 36, 60, not 48"),
        ({"loan_amount": "much"}, "loan_amount must be a whole number"),
        ({"loan_amount": True}, "loan_amount must be a whole number"),
        ({"loan_amount": -1}, "loan_amount must be a whole number from 0"),
        ({"annual_income": None}, "annual_income must be a number"),
        ({"annual_income": 1e300}, "annual_income must be a number"),
        ({"annual_income": 10**400}, "annual_income must be a number"),
        ({"homeownership": "CASTLE"}, "homeownership must be one of RENT, MORTGAGE, OWN"),
        ({"term": 60, "homeownership": 1}, "homeownership must be"),
        ({"annual_income": math.nan}, "annual_income must be a number"),
    ],
)
def test_an_unacceptable_value_is_told_what_would_be_accepted(change: dict[str, object], told: str) -> None:
    with pytest.raises(FieldError) as refusal:
        checked_change(change)

    assert told in str(refusal.value)


def test_values_take_the_type_of_their_field() -> None:
    change = checked_change({"annual_income": 60_000, "term": 60, "homeownership": "OWN"})

    assert change == {"annual_income": 60_000.0, "term": 60, "homeownership": "OWN"}
    assert isinstance(change["annual_income"], float)
