"""What a training job can say about a version: all of it is kept, told as a fact, and bounded."""

from typing import Any

import pytest

from tests.integration.registry.door import Door, versions

pytestmark = pytest.mark.integration

EVIDENCE: dict[str, Any] = {
    "algorithm": "gradient boosting",
    "framework": "scikit-learn",
    "framework_version": "1.9.1",
    "base_model": "Llama-3.1-8B",
    "metrics": {"rmse": 4.2, "validation_score": 0.9, "our own": 1.0},
    "performance_score": 0.91,
    "business_value": 120000.0,
    "cost_per_inference": 0.0004,
    "parameters": {"seed": 7},
    "hyperparameters": {"n_estimators": 100, "optimizer": {"name": "adam", "betas": [0.9, 0.999]}, "big": 10**30},
    "feature_schema": [{"name": "income", "datatype": "FP64"}],
    "feature_list": ["income", "age"],
    "feature_importance": {"income": 0.7, "age": 0.3},
    "target_schema": [{"name": "loss", "datatype": "FP64"}],
    "training_job_id": "nightly-17",
    "experiment_id": "exp-7",
    "experiment_name": "debt consolidation",
    "started_at": "2026-11-20T22:00:00Z",
    "completed_at": "2026-11-20T22:30:00Z",
    "training_duration_s": 1800.0,
    "training_examples": 4000,
    "validation_examples": 1000,
    "test_examples": 500,
    "training_data_version": "loans/train-v1",
    "validation_data_version": "loans/holdout-v1",
    "dependencies": {"scikit-learn": "1.9.1", "numpy": ">=2"},
    "environment": "python 3.11, linux/amd64",
    "git_commit": "0a1b2c3",
    "owner": "risk team",
    "team": "lending",
    "compliance_status": "approved",
    "risk_level": "high",
    "deployment_config": {"replicas": 2, "resources": {"cpu": "500m"}},
    "description": "Credit history added.",
    "tags": {"purpose": "pricing"},
    "model_card": {
        "intended_use": "Pricing of consumer loans.",
        "limitations": ["Only trained on historical data", "May have bias against certain groups"],
        "preprocessing": "StandardScaler, feature selection",
        "ethical_considerations": {"fairness_checked": True, "protected_groups": ["age", "gender"]},
    },
    "custom_metadata": {"azure_ml_model_id": "azureml:risk:4", "nested": [{"deep": None}]},
}


async def test_every_field_of_the_evidence_is_kept_and_told(door: Door) -> None:
    await door.create()

    registered = await door.register(evidence=EVIDENCE)

    read = (await door.call("GET", f"{versions()}/1")).expect(200)
    told = (await door.facts())[-1]["event"]["evidence"]
    for evidence in (registered["evidence"], read["evidence"], told):
        assert {name: evidence[name] for name in EVIDENCE} == EVIDENCE


def nested(levels: int) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for _ in range(levels):
        document = {"a": document}
    return document


@pytest.mark.parametrize(
    "evidence",
    [
        {"custom_metadata": nested(11)},
        {"custom_metadata": nested(400)},
        {"hyperparameters": {"text": "x" * 100_001}},
        {"hyperparameters": {"many": [0] * 5_001}},
        {"deployment_config": ["not", "an", "object"]},
        {"custom_metadata": {"a": "\u0000"}},
        {"custom_metadata": {"\ud800": 1}},
        {"model_card": {"limitations": "not a list"}},
        {"model_card": {"ethical_considerations": nested(11)}},
        {"feature_importance": {"income": "much"}},
        {"cost_per_inference": -1},
        {"test_examples": -1},
        {"started_at": "2026-11-20T22:00:00"},
        {"started_at": "yesterday"},
        {"dependencies": ["numpy"]},
        {"risk_level": "x" * 101},
    ],
)
async def test_metadata_beyond_its_bounds_is_refused_and_changes_nothing(
    door: Door, evidence: dict[str, object]
) -> None:
    await door.create()
    digest = await door.upload()
    marks = await door.marks()

    reply = await door.call("POST", versions(), {"digest": digest, "evidence": evidence})

    assert reply.status == 422
    assert reply.is_problem
    assert await door.marks() == marks


async def test_custom_metadata_cannot_smuggle_in_what_json_cannot_say(door: Door) -> None:
    await door.create()
    body = f'{{"digest": "{await door.upload()}", "evidence": {{"custom_metadata": {{"a": [NaN]}}}}}}'

    reply = await door.call("POST", versions(), data=body.encode(), headers={"content-type": "application/json"})

    assert reply.status == 422
    assert reply.is_problem


@pytest.mark.parametrize(
    ("metric", "given", "direction"),
    [("rmse", None, False), ("perplexity", None, False), ("auc", None, True), ("our own", None, True),
     ("our own", False, False), ("rmse", True, True), (None, None, True)],
)  # fmt: skip
async def test_the_direction_of_a_standard_metric_is_known(
    door: Door, metric: str | None, given: bool | None, direction: bool
) -> None:
    said: dict[str, Any] = {} if given is None else {"higher_is_better": given}

    created = await door.create(primary_metric=metric, **said)

    assert created["higher_is_better"] is direction
