"""What the training jobs claim about their models is measured, and what serves is what was measured."""

from collections.abc import Mapping

import numpy as np
import pytest
from modelyard_events.training import TrainingRunCompleted
from modelyard_examples.fitting import (
    DIFFERENCE_MAX,
    FittedModel,
    evidence_of,
    fit,
    onnx_of,
    run_onnx,
    tensors_of,
)
from modelyard_examples.loans import TARGET, LoanData
from modelyard_examples.recipes import GLOBAL_V1, RECIPES

IMPROVEMENT_MIN = 0.05


@pytest.mark.parametrize("name", ["debt-consolidation", "debt-consolidation-boosted", "credit-card"])
@pytest.mark.parametrize("parent", ["global", "global-boosted"])
def test_industry_models_beat_the_global_model_on_the_same_held_out_loans(
    fitted_models: Mapping[str, FittedModel], name: str, parent: str
) -> None:
    child, other = fitted_models[name], fitted_models[parent]

    improvement = child.improvement_over(other)

    assert child.validation_data_version == other.validation_data_version
    assert improvement > IMPROVEMENT_MIN


def test_only_debt_consolidation_has_the_examples_that_the_rule_asks_for(
    fitted_models: Mapping[str, FittedModel],
) -> None:
    assert fitted_models["debt-consolidation"].training_examples > 3_000
    assert fitted_models["debt-consolidation-boosted"].training_examples > 3_000
    assert fitted_models["credit-card"].training_examples <= 3_000


def test_a_primary_metric_is_measured_on_the_held_out_loans_of_its_industry(
    loan_data: LoanData, fitted_models: Mapping[str, FittedModel]
) -> None:
    for fitted in fitted_models.values():
        loans = loan_data.held_out
        if fitted.recipe.industry:
            loans = loans[loans["loan_purpose"] == fitted.recipe.industry]
        answers = run_onnx(fitted.artifact, inputs=tensors_of(loans, recipe=fitted.recipe))
        error = float(np.sqrt(((answers - loans[TARGET].to_numpy()) ** 2).mean()))

        assert fitted.metrics[fitted.recipe.primary_metric] == pytest.approx(error)
        assert fitted.validation_examples == len(loans)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_onnx_model_answers_as_the_trained_one(fitted_models: Mapping[str, FittedModel], name: str) -> None:
    assert 0 <= fitted_models[name].conversion_difference < DIFFERENCE_MAX


def test_each_input_of_the_onnx_model_is_a_field_with_its_own_type(loan_data: LoanData) -> None:
    sample = loan_data.training.head(50)
    names = [field.name for field in GLOBAL_V1.fields]
    pipeline = GLOBAL_V1.pipeline().fit(sample[names], sample[TARGET])

    answers = run_onnx(onnx_of(pipeline, recipe=GLOBAL_V1), inputs=tensors_of(sample, recipe=GLOBAL_V1))

    np.testing.assert_allclose(answers, pipeline.predict(sample[names]), atol=DIFFERENCE_MAX)


def test_the_same_training_gives_the_same_bytes(loan_data: LoanData, global_model: FittedModel) -> None:
    again = fit(GLOBAL_V1, data=loan_data)

    assert again.digest == global_model.digest


def test_the_evidence_is_complete_in_the_words_of_the_contract(global_model: FittedModel) -> None:
    evidence = evidence_of(
        global_model, run_id="run-1", training_job_id="nightly", parent={"model": "risk-scoring", "number": 1}
    )

    event = TrainingRunCompleted.model_validate(
        {
            "project": "default",
            "model": "risk-scoring",
            "run_id": "run-1",
            "digest": global_model.digest,
            "evidence": evidence,
        }
    )

    understood = event.evidence.model_dump(mode="json", exclude_unset=True)
    assert understood == evidence
    assert set(evidence) <= set(type(event.evidence).model_fields)
    assert set(evidence) >= {
        *("algorithm", "framework", "framework_version", "metrics", "parameters", "feature_schema", "run_id"),
        *("training_job_id", "training_examples", "validation_examples", "training_data_version"),
        *("validation_data_version", "training_duration_s", "parent", "description", "tags"),
    }
