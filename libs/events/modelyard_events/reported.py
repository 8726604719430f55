"""What training jobs and the registry's callers report about a version: strict twins of the values in facts.

A misspelt field is refused by name, since evidence that is dropped without a word is missing when a version is
judged. What was stored, and what facts say, is read as `Evidence`, so that these bounds may grow narrower.
"""

import unicodedata
from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from modelyard_events.exact_values import ExactValue
from modelyard_events.free_json import FreeJson
from modelyard_events.limits import (
    EXACT_INT_MAX,
    ID_CHARS_MAX,
    INT32_MAX,
    NAME_CHARS_MAX,
    PARAMETER_CHARS_MAX,
    TEXT_CHARS_MAX,
)
from modelyard_events.strict_json import INT_DIGITS_MAX
from modelyard_events.values import Evidence, Feature, ModelCard, Scalar, VersionReference

Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARS_MAX)]
"""The name of a metric, a tag, a parameter or a feature."""

Count = Annotated[int, Field(ge=0, le=EXACT_INT_MAX)]


def _a_parameter(value: object) -> object:
    if isinstance(value, dict | list | tuple):
        raise PydanticCustomError(
            "parameter", "is nested: a parameter is one text, number or truth value; send this in `hyperparameters`"
        )
    if isinstance(value, str) and len(value) > PARAMETER_CHARS_MAX:
        raise PydanticCustomError("parameter", "has more than {most} characters", {"most": PARAMETER_CHARS_MAX})
    if isinstance(value, int) and len(str(value)) > INT_DIGITS_MAX:
        raise PydanticCustomError("parameter", "has more than {most} digits", {"most": INT_DIGITS_MAX})
    return value


Parameter = Annotated[Scalar, BeforeValidator(_a_parameter, json_schema_input_type=Scalar)]


def _refuse_twice(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        # The same letters, in whichever of their two Unicode forms, are the same name; capitals are others.
        normal = unicodedata.normalize("NFC", name)
        if normal in seen:
            raise PydanticCustomError("feature_twice", "names the feature {name} twice", {"name": repr(name)})
        seen.add(normal)


def _features_once(features: tuple["ReportedFeature", ...]) -> tuple["ReportedFeature", ...]:
    _refuse_twice([feature.name for feature in features])
    return features


def _names_once(names: tuple[str, ...]) -> tuple[str, ...]:
    _refuse_twice(names)
    return names


class ReportedFeature(Feature, ExactValue):
    """One input or output: its name and its element type."""


Features = Annotated[tuple[ReportedFeature, ...], Field(max_length=2000), AfterValidator(_features_once)]
"""Features of which none is named twice; capitals are other names, the two Unicode forms of a letter are not."""


class ReportedVersionReference(VersionReference, ExactValue):
    """A model version by its registered model's name and its number, within one project."""

    number: Annotated[int, Field(ge=1, le=INT32_MAX)]


class ReportedModelCard(ModelCard, ExactValue):
    """What people need to know before they rely on a version: how it was made ready, and where it should not be used.

    `ethical_considerations` holds what was looked at, such as `{"bias_audit_done": true}`.
    """


class ReportedEvidence(Evidence, ExactValue):
    """What a training job says about the model version that it made.

    `metrics` maps a metric's name to its value; two versions are comparable by a metric only when both
    were measured on the same `validation_data_version`. Names are free; `mse`, `mae`, `rmse`, `r2_score`,
    `accuracy`, `precision`, `recall`, `f1_score`, `auc`, `ndcg`, `map`, `perplexity`, `bleu`,
    `validation_score` and `test_score` have a direction that is known. `parent` is the version that this
    one was derived from, or is meant to beat; `base_model` is what a language model was tuned from.

    `parameters` are what the run was started with, `hyperparameters` what the algorithm was given.
    `feature_schema` names and types the inputs in order, `feature_list` names them where types are not
    known, `target_schema` names and types what is predicted. `dependencies` maps a package to its version.
    `business_value` and `cost_per_inference` are in the organisation's own currency. Durations are seconds.
    What has no field here belongs in `custom_metadata`.
    """

    advice_on_unknown: ClassVar[str] = "facts of your own belong in `custom_metadata`"
    other_words: ClassVar[dict[str, str]] = {
        "git_sha": "git_commit",
        "commit": "git_commit",
        "revision": "git_commit",
        "params": "parameters",
        "features": "feature_schema",
        "targets": "target_schema",
        "duration": "training_duration_s",
        "notes": "description",
        "labels": "tags",
        "metadata": "custom_metadata",
        "dataset": "training_data_version",
        "requirements": "dependencies",
    }

    parent: ReportedVersionReference | None = None
    metrics: dict[Name, float] = Field(default_factory=dict, max_length=200)
    parameters: dict[Name, Parameter] = Field(default_factory=dict, max_length=500)
    hyperparameters: FreeJson = Field(default_factory=dict)
    feature_schema: Features = ()
    feature_list: Annotated[tuple[Name, ...], Field(max_length=2000), AfterValidator(_names_once)] = ()
    feature_importance: dict[Name, float] = Field(default_factory=dict, max_length=2000)
    target_schema: Annotated[tuple[ReportedFeature, ...], Field(max_length=200), AfterValidator(_features_once)] = ()
    run_id: Annotated[str, Field(min_length=1, max_length=ID_CHARS_MAX)] | None = None
    training_examples: Count | None = None
    validation_examples: Count | None = None
    test_examples: Count | None = None
    dependencies: dict[Name, Annotated[str, Field(max_length=200)]] = Field(default_factory=dict, max_length=1000)
    tags: dict[Name, Annotated[str, Field(max_length=TEXT_CHARS_MAX)]] = Field(default_factory=dict, max_length=100)
    model_card: ReportedModelCard | None = None
