"""Builders of routing documents for tests: say what matters, the rest is ordinary."""

from typing import Any

from modelyard_events.registry import ExperimentVariant
from modelyard_events.routes import Champion, RoutableVersion, RouteChanged, RunningExperiment
from modelyard_events.values import Endpoint, Protocol, Scope, Stage, VersionReference

SALT = "5f0c7a52c5d14b5e9d2f6a8b3c1e4d70"


def an_endpoint(**changes: Any) -> Endpoint:
    """An endpoint that nobody answers at, unless `url` says otherwise."""
    return Endpoint(**{"url": "http://127.0.0.1:9/infer", "protocol": Protocol.OPEN_INFERENCE_V2, **changes})


def a_version(model: str, number: int = 1, **changes: Any) -> RoutableVersion:
    """A global version in production with an endpoint."""
    values: dict[str, Any] = {
        "version_id": f"{model}-{number}",
        "model": model,
        "number": number,
        "semver": f"{number}.0.0",
        "stage": Stage.PRODUCTION,
        "scope": Scope.GLOBAL,
        "digest": "sha256:" + f"{number:x}".rjust(64, "a"),
        "endpoint": an_endpoint(),
    }
    return RoutableVersion(**{**values, **changes})


def an_industry_version(model: str = "debt", number: int = 1, **changes: Any) -> RoutableVersion:
    """A version of industry `debt` that is just worth it: more than 3,000 examples, more than 5 %."""
    values: dict[str, Any] = {
        "scope": Scope.INDUSTRY,
        "industry": "debt",
        "training_examples": 3_001,
        "improvement": 0.0501,
    }
    return a_version(model, number, **{**values, **changes})


def a_champion_of(version: RoutableVersion, *, former: RoutableVersion | None = None) -> Champion:
    """`version` as the champion of its own slot, after `former`."""
    return Champion(
        scope=version.scope,
        industry=version.industry,
        tenant=version.tenant,
        model=version.model,
        number=version.number,
        former=None if former is None else VersionReference(model=former.model, number=former.number),
    )


def an_experiment(
    control: RoutableVersion, treatment: RoutableVersion, *, treatment_bp: int = 5_000, **changes: Any
) -> RunningExperiment:
    """A running experiment with one control and one treatment."""
    variants = (
        ExperimentVariant(
            name="control",
            role="control",
            model=control.model,
            number=control.number,
            share_bp=10_000 - treatment_bp,
        ),
        ExperimentVariant(
            name="treatment",
            role="treatment",
            model=treatment.model,
            number=treatment.number,
            share_bp=treatment_bp,
        ),
    )
    values: dict[str, Any] = {
        "experiment_id": "experiment-1",
        "key": "try-it",
        "salt": SALT,
        "variants": variants,
    }
    return RunningExperiment(**{**values, **changes})


def a_document(*versions: RoutableVersion, **changes: Any) -> RouteChanged:
    """A document of `default/risk-scoring` in which each of these versions is champion of its slot."""
    values: dict[str, Any] = {
        "project": "default",
        "model_type": "risk-scoring",
        "revision": 1,
        "versions": versions,
        "champions": tuple(a_champion_of(version) for version in versions),
    }
    return RouteChanged(**{**values, **changes})
