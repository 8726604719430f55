"""From a recipe to bytes that a model server can run, and the evidence for them.

The metrics are measured on the ONNX model's own answers, not on scikit-learn's: what is judged is what
will serve.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import numpy as np
import onnxruntime
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

from modelyard_examples.loans import TARGET, Frame, LoanData
from modelyard_examples.recipes import Recipe, metric_of

OPSET = {"": 18, "ai.onnx.ml": 3}
"""Pinned, so that the same training gives the same bytes whichever converter runs."""

OUTPUT = "interest_rate"
DIFFERENCE_MAX = 1e-3
"""In percentage points: float32 differs from float64 by a hundredth of this."""

SLICE_LOANS_MIN = 30
"""An industry with fewer held-out loans gets no metric of its own: it would be noise."""

_TENSOR_TYPES = {"INT64": Int64TensorType, "FP32": FloatTensorType, "BYTES": StringTensorType}
_ELEMENT_TYPES: Mapping[str, Any] = {"INT64": np.int64, "FP32": np.float32, "BYTES": object}


class ConversionError(RuntimeError):
    """The ONNX model does not answer as the trained one does; nothing was published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedModel:
    """A trained model, ready to be published. `seconds` is how long the training itself took."""

    recipe: Recipe
    artifact: bytes
    digest: str
    metrics: Mapping[str, float]
    training_examples: int
    validation_examples: int
    training_data_version: str
    validation_data_version: str
    seconds: float
    conversion_difference: float

    def improvement_over(self, parent: "FittedModel") -> float:
        """How much better than `parent` by this recipe's primary metric; 0.05 is 5 %.

        The registry works this out by itself from both versions' evidence; here it is for reading.
        """
        name = self.recipe.primary_metric
        return (parent.metrics[name] - self.metrics[name]) / parent.metrics[name]


def fit(recipe: Recipe, *, data: LoanData) -> FittedModel:
    """Train, convert to ONNX and measure on the held-out loans. Takes up to some seconds of processor time.

    Raises ConversionError when the ONNX model answers otherwise than the trained one.
    """
    loans = data.training
    if recipe.industry:
        loans = loans[loans["loan_purpose"] == recipe.industry]
    names = [field.name for field in recipe.fields]
    pipeline = recipe.pipeline()
    started = time.perf_counter()
    pipeline.fit(loans[names], loans[TARGET])
    seconds = time.perf_counter() - started
    artifact = onnx_of(pipeline, recipe=recipe)
    answers = run_onnx(artifact, inputs=tensors_of(data.held_out, recipe=recipe))
    difference = float(np.abs(answers - pipeline.predict(data.held_out[names])).max())
    if difference > DIFFERENCE_MAX:
        raise ConversionError(f"{recipe.name}: the ONNX model is off by up to {difference:.4f} points")
    return FittedModel(
        recipe=recipe,
        artifact=artifact,
        digest="sha256:" + sha256(artifact).hexdigest(),
        metrics=measured(answers, held_out=data.held_out),
        training_examples=len(loans),
        validation_examples=len(_slice(data.held_out, industry=recipe.industry)),
        training_data_version=data.training_data_version,
        validation_data_version=data.validation_data_version,
        seconds=seconds,
        conversion_difference=difference,
    )


def evidence_of(
    fitted: FittedModel, *, run_id: str, training_job_id: str, parent: Mapping[str, object] | None
) -> dict[str, object]:
    """What the job says about the version: the `evidence` of the API and of the Kafka event alike."""
    recipe = fitted.recipe
    evidence: dict[str, object] = {
        "algorithm": recipe.algorithm.__name__,
        "framework": "scikit-learn",
        "framework_version": version("scikit-learn"),
        "metrics": dict(fitted.metrics),
        "parameters": dict(recipe.parameters),
        "feature_schema": [{"name": field.name, "datatype": field.datatype} for field in recipe.fields],
        "training_job_id": training_job_id,
        "run_id": run_id,
        "training_examples": fitted.training_examples,
        "validation_examples": fitted.validation_examples,
        "training_data_version": fitted.training_data_version,
        "validation_data_version": fitted.validation_data_version,
        "training_duration_s": round(fitted.seconds, 3),
        "description": recipe.description,
        "tags": {"format": "onnx", "opset": str(OPSET[""]), "recipe": recipe.name},
    }
    return evidence | ({"parent": dict(parent)} if parent else {})


def onnx_of(pipeline: Any, *, recipe: Recipe) -> bytes:
    """The fitted pipeline as ONNX: one input of shape [n, 1] per field, one output `interest_rate` [n, 1]."""
    model = convert_sklearn(
        pipeline,
        name=recipe.name,
        initial_types=[(field.name, _TENSOR_TYPES[field.datatype]([None, 1])) for field in recipe.fields],
        final_types=[(OUTPUT, FloatTensorType([None, 1]))],
        target_opset=OPSET,
    )
    return bytes(model.SerializeToString())


def tensors_of(loans: Frame, *, recipe: Recipe) -> dict[str, Any]:
    """The loans as one array of shape [n, 1] per input that the recipe declares."""
    return {
        field.name: loans[field.name].to_numpy(dtype=_ELEMENT_TYPES[field.datatype]).reshape(-1, 1)
        for field in recipe.fields
    }


def run_onnx(artifact: bytes, *, inputs: Mapping[str, Any]) -> Any:
    """The model's answers, one per row."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(artifact, options, providers=["CPUExecutionProvider"])
    return session.run([OUTPUT], dict(inputs))[0][:, 0]


def measured(answers: Any, *, held_out: Frame) -> dict[str, float]:
    """Errors in percentage points: over all held-out loans, and for each industry with enough of them."""
    errors = answers - held_out[TARGET]
    metrics = {metric_of(None): _root_mean_square(errors), "mae": float(errors.abs().mean())}
    for industry, of_industry in errors.groupby(held_out["loan_purpose"]):
        if len(of_industry) >= SLICE_LOANS_MIN:
            metrics[metric_of(str(industry))] = _root_mean_square(of_industry)
    return metrics


def _slice(loans: Frame, *, industry: str | None) -> Frame:
    return loans if industry is None else loans[loans["loan_purpose"] == industry]


def _root_mean_square(errors: Any) -> float:
    return float(np.sqrt((errors**2).mean()))
