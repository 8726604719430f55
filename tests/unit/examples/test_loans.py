"""The data set as models see it: complete, split the same way everywhere, and without leaks."""

from modelyard_examples.loan_fields import ALL_FIELDS, NEVER_FEATURES
from modelyard_examples.loans import LoanData, is_held_out, loan_records, read_split_loans


def test_every_loan_is_either_for_training_or_held_out(loan_data: LoanData) -> None:
    training, held_out = set(loan_data.training["id"]), set(loan_data.held_out["id"])

    assert len(training) + len(held_out) == len(training | held_out) == 10_000
    assert all(is_held_out(loan_id) for loan_id in held_out)
    assert not any(is_held_out(loan_id) for loan_id in training)


def test_the_split_is_the_same_each_time(loan_data: LoanData) -> None:
    again = read_split_loans()

    assert again.validation_data_version == loan_data.validation_data_version
    assert again.training_data_version == loan_data.training_data_version
    assert again.held_out.equals(loan_data.held_out)


def test_every_field_of_every_loan_has_a_value_that_the_loan_book_would_accept() -> None:
    for record in loan_records():
        for field in ALL_FIELDS:
            assert field.checked(record[field.name]) == record[field.name]


def test_nothing_that_gives_the_rate_away_is_a_feature() -> None:
    names = {field.name for field in ALL_FIELDS}

    assert not names & NEVER_FEATURES.keys()
    assert not names & {"state", "loan_purpose", "id"}


def test_debt_consolidation_has_enough_training_examples_and_credit_card_has_not(loan_data: LoanData) -> None:
    purposes = loan_data.training["loan_purpose"].value_counts()

    assert purposes["debt_consolidation"] > 3_000
    assert purposes["credit_card"] <= 3_000
