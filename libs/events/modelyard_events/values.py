"""Words that several events share. One word per concept, as the glossary has them.

As outsiders write them they are held to more: see `modelyard_events.reported`.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from modelyard_events.event import Value
from modelyard_events.free_json import FreeJson
from modelyard_events.limits import TENSOR_DIMENSION_MAX, TENSOR_RANK_MAX
from modelyard_events.moments import Moment as Moment
from modelyard_events.spelling import Spelled

SLUG = "[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
"""How a `Slug` is spelled, for patterns that have one within them."""

Slug = Annotated[
    str,
    Spelled(
        f"^{SLUG}$",
        words="is no name: use 1 to 100 of the letters a to z and A to Z, digits, `.`, `_` and `-`,"
        " and begin with a letter or a digit",
    ),
]
"""A project, a registered model, a model type, an industry, a tenant, an alias or an experiment key."""

Digest = Annotated[
    str,
    Spelled(
        r"^sha256:[0-9a-f]{64}$",
        words="is no digest: write `sha256:` and 64 lower-case hexadecimal digits, as sha256sum does",
    ),
]
"""The SHA-256 that proves an artifact, as `sha256:` and 64 hexadecimal digits."""

Semver = Annotated[
    str,
    Spelled(
        r"^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})$",
        words="is no semantic version: write MAJOR.MINOR.PATCH with digits 0 to 9, such as 1.4.0",
    ),
]
"""MAJOR.MINOR.PATCH, without a leading `v`."""

Scalar = str | int | float | bool | None


class Stage(StrEnum):
    """Where a model version stands in the guarded lifecycle."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    CANARY = "canary"
    PRODUCTION = "production"
    DEPRECATED = "deprecated"
    ARCHIVED = "archived"


class Scope(StrEnum):
    """Whom a registered model is for: everyone, one industry, or one tenant."""

    GLOBAL = "global"
    INDUSTRY = "industry"
    TENANT = "tenant"


class Protocol(StrEnum):
    """How an endpoint wants to be asked."""

    OPEN_INFERENCE_V2 = "open-inference-v2"


class ChangeType(StrEnum):
    """How large a step a version takes from the one before it, in semantic versioning's words."""

    MAJOR = "major"
    MINOR = "minor"
    PATCH = "patch"


Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64",
    "BYTES",
]  # fmt: skip
"""Tensor element types of the Open Inference Protocol v2."""


def _a_small_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) > TENSOR_RANK_MAX:
        raise PydanticCustomError(
            "shape_rank", "has {rank} dimensions; {most} are the most", {"rank": len(shape), "most": TENSOR_RANK_MAX}
        )
    if any(entries > TENSOR_DIMENSION_MAX for entries in shape):
        raise PydanticCustomError(
            "shape_dimension", "has a dimension of more than {most} entries", {"most": TENSOR_DIMENSION_MAX}
        )
    return shape


class Feature(Value):
    """One input that a model declares: its name and its element type."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    datatype: Datatype


class Tensor(Value):
    """A named tensor of the Open Inference Protocol v2; `data` may be flat or nested row by row.

    `parameters` are what the protocol lets a sender say about it, such as a content type.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)]
    datatype: Datatype
    shape: Annotated[tuple[Annotated[int, Field(ge=0, strict=True)], ...], AfterValidator(_a_small_shape)]
    data: list[Any]
    parameters: dict[str, Scalar] = Field(default_factory=dict, exclude_if=lambda parameters: not parameters)


class Endpoint(Value):
    """The address of a model server where a version answers predictions.

    `revision` rises with every change of the endpoint, so that answers of an earlier address are
    never mistaken for answers of this one. `inputs` are what it declares; empty means: all there are.
    """

    url: str
    protocol: Protocol
    inputs: tuple[Feature, ...] = ()
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    revision: Annotated[int, Field(ge=1)] = 1


class VersionReference(Value):
    """A model version by its registered model's name and its number, within one project."""

    model: Slug
    number: Annotated[int, Field(ge=1)]


class ModelCard(Value):
    """What people need to know before they rely on a version: how it was made ready, and where it should not be used.

    `ethical_considerations` holds what was looked at, such as `{"bias_audit_done": true}`.
    """

    intended_use: Annotated[str, Field(max_length=5000)] | None = None
    limitations: tuple[Annotated[str, Field(max_length=2000)], ...] = Field(default=(), max_length=100)
    preprocessing: Annotated[str, Field(max_length=5000)] | None = None
    ethical_considerations: FreeJson = Field(default_factory=dict)


class Evidence(Value):
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
    """

    algorithm: Annotated[str, Field(max_length=200)] | None = None
    framework: Annotated[str, Field(max_length=200)] | None = None
    framework_version: Annotated[str, Field(max_length=100)] | None = None
    base_model: Annotated[str, Field(max_length=500)] | None = None
    parent: VersionReference | None = None

    metrics: dict[str, float] = Field(default_factory=dict, max_length=200)
    performance_score: float | None = None
    business_value: float | None = None
    cost_per_inference: Annotated[float, Field(ge=0)] | None = None

    parameters: dict[str, Scalar] = Field(default_factory=dict, max_length=500)
    hyperparameters: FreeJson = Field(default_factory=dict)
    feature_schema: tuple[Feature, ...] = Field(default=(), max_length=2000)
    feature_list: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(default=(), max_length=2000)
    feature_importance: dict[str, float] = Field(default_factory=dict, max_length=2000)
    target_schema: tuple[Feature, ...] = Field(default=(), max_length=200)

    training_job_id: Annotated[str, Field(max_length=200)] | None = None
    run_id: Annotated[str, Field(max_length=200)] | None = None
    experiment_id: Annotated[str, Field(max_length=200)] | None = None
    experiment_name: Annotated[str, Field(max_length=500)] | None = None
    started_at: Moment | None = None
    completed_at: Moment | None = None
    training_duration_s: Annotated[float, Field(ge=0)] | None = None
    training_examples: Annotated[int, Field(ge=0)] | None = None
    validation_examples: Annotated[int, Field(ge=0)] | None = None
    test_examples: Annotated[int, Field(ge=0)] | None = None
    training_data_version: Annotated[str, Field(max_length=200)] | None = None
    validation_data_version: Annotated[str, Field(max_length=200)] | None = None
    dependencies: dict[str, Annotated[str, Field(max_length=200)]] = Field(default_factory=dict, max_length=1000)
    environment: Annotated[str, Field(max_length=500)] | None = None
    git_commit: Annotated[str, Field(max_length=100)] | None = None

    owner: Annotated[str, Field(max_length=200)] | None = None
    team: Annotated[str, Field(max_length=200)] | None = None
    compliance_status: Annotated[str, Field(max_length=100)] | None = None
    risk_level: Annotated[str, Field(max_length=100)] | None = None
    deployment_config: FreeJson = Field(default_factory=dict)

    description: Annotated[str, Field(max_length=5000)] | None = None
    tags: dict[str, str] = Field(default_factory=dict, max_length=100)
    model_card: ModelCard | None = None
    custom_metadata: FreeJson = Field(default_factory=dict)
