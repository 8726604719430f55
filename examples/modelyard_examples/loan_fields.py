"""What a loan application consists of: every field that a model may use, its type and its bounds.

The same list makes the training table, the loan book's validation and the models' inputs, so the three
cannot drift apart. Nothing here needs pandas: the loan book starts without it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

NEVER_MONTHS = 600
"""What "months since" says of a thing that never happened: fifty years, longer than any in the data."""

LIMIT_DEFAULT = 1_000_000_000
"""Larger amounts and counts are typing errors; all of them are exact in an INT64."""

Value = int | float | str


class FieldError(ValueError):
    """A loan has no such field, or the value is not one that the field can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanField:
    """One field of a loan and the tensor type a model reads it as.

    `datatype` is of the Open Inference Protocol v2: INT64 for counts and whole dollars, FP32 for
    measured figures, BYTES for words. `missing` stands in where the data set has no value.
    """

    name: str
    datatype: str = "INT64"
    minimum: float = 0
    maximum: float = LIMIT_DEFAULT
    choices: tuple[Value, ...] = ()
    missing: Value | None = None

    def checked(self, value: object) -> Value:
        """`value` in this field's type. Raises FieldError, which says what would be accepted."""
        if self.datatype == "BYTES":
            accepted: Value | None = value if isinstance(value, str) else None
        elif self.datatype == "INT64":
            accepted = value if isinstance(value, int) and not isinstance(value, bool) else None
        else:
            accepted = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        if accepted is None or not self._is_within_bounds(accepted):
            raise FieldError(f"{self.name} must be {self.expectation}, not {value!r:.100}")
        # After the check of the bounds: a whole number may be too large for a float.
        return float(accepted) if self.datatype == "FP32" else accepted

    @property
    def expectation(self) -> str:
        """What the field accepts, for people."""
        if self.choices:
            return "one of " + ", ".join(str(choice) for choice in self.choices)
        kind = "a whole number" if self.datatype == "INT64" else "a number"
        return f"{kind} from {self.minimum:g} to {self.maximum:,.0f}"

    def _is_within_bounds(self, value: Value) -> bool:
        if self.choices:
            return value in self.choices
        # A NaN is within no bounds: each comparison with it is false.
        return not isinstance(value, str) and self.minimum <= value <= self.maximum


APPLICATION_FIELDS: tuple[LoanField, ...] = (
    LoanField(name="loan_amount"),
    LoanField(name="term", choices=(36, 60)),
    LoanField(name="annual_income", datatype="FP32"),
    LoanField(name="debt_to_income", datatype="FP32", maximum=100_000),
    LoanField(name="employment_years", maximum=10, missing=0),
    LoanField(name="homeownership", datatype="BYTES", choices=("RENT", "MORTGAGE", "OWN")),
    LoanField(name="verified_income", datatype="BYTES", choices=("Verified", "Not Verified", "Source Verified")),
    LoanField(name="application_type", datatype="BYTES", choices=("individual", "joint")),
)
"""What everyone writes on the application form. Income and debt are the household's if they apply jointly."""

CREDIT_FIELDS: tuple[LoanField, ...] = (
    LoanField(name="delinq_2y"),
    LoanField(name="months_since_last_delinq", missing=NEVER_MONTHS),
    LoanField(name="months_since_90d_late", missing=NEVER_MONTHS),
    LoanField(name="earliest_credit_line", minimum=1900, maximum=2100),
    LoanField(name="inquiries_last_12m"),
    LoanField(name="months_since_last_credit_inquiry", missing=NEVER_MONTHS),
    LoanField(name="total_credit_lines"),
    LoanField(name="open_credit_lines"),
    LoanField(name="total_credit_limit"),
    LoanField(name="total_credit_utilized"),
    LoanField(name="num_collections_last_12m"),
    LoanField(name="num_historical_failed_to_pay"),
    LoanField(name="current_installment_accounts"),
    LoanField(name="accounts_opened_24m"),
    LoanField(name="num_satisfactory_accounts"),
    LoanField(name="num_active_debit_accounts"),
    LoanField(name="total_debit_limit"),
    LoanField(name="num_total_cc_accounts"),
    LoanField(name="num_open_cc_accounts"),
    LoanField(name="num_cc_carrying_balance"),
    LoanField(name="num_mort_accounts"),
    LoanField(name="account_never_delinq_percent", datatype="FP32", maximum=100),
    LoanField(name="tax_liens"),
    LoanField(name="public_record_bankrupt"),
)
"""What a credit bureau adds, as it stood when the application was made."""

ALL_FIELDS: tuple[LoanField, ...] = APPLICATION_FIELDS + CREDIT_FIELDS

FIELDS_BY_NAME: Mapping[str, LoanField] = {field.name: field for field in ALL_FIELDS}

NEVER_FEATURES: Mapping[str, str] = {
    "interest_rate": "the target itself",
    "grade": "the lender's own verdict, which sets the rate",
    "sub_grade": "the lender's own verdict, which sets the rate",
    "installment": "computed from the rate",
    "issue_month": "known only once the loan is granted",
    "loan_status": "what became of the loan",
    "initial_listing_status": "chosen by the lender after pricing",
    "disbursement_method": "chosen when the loan is paid out",
    "balance": "what became of the loan",
    "paid_total": "what became of the loan",
    "paid_principal": "what became of the loan",
    "paid_interest": "what became of the loan",
    "paid_late_fees": "what became of the loan",
}
"""Columns that would leak the answer into the question, and why."""


def checked_change(change: Mapping[str, object]) -> dict[str, Value]:
    """The fields of a change, each in its type. Raises FieldError at the first that is not acceptable."""
    if not change:
        raise FieldError('The change names no field; send for example {"annual_income": 60000}.')
    unknown = [name for name in change if name not in FIELDS_BY_NAME]
    if unknown:
        raise FieldError(
            f"A loan has no field {unknown[0]!r:.100} that can be changed; it has {', '.join(FIELDS_BY_NAME)}"
        )
    return {name: FIELDS_BY_NAME[name].checked(value) for name, value in change.items()}
