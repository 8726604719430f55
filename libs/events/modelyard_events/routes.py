"""What the registry says about routing: one full document per project and model type.

A document is complete: a reader that has the newest one needs no other. An empty document, not a
tombstone, means that there is no route.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from modelyard_events.event import Event, Value
from modelyard_events.registry import ExperimentVariant
from modelyard_events.values import Digest, Endpoint, Scope, Semver, Slug, Stage, VersionReference


class SelectionPolicy(Value):
    """When an industry champion serves instead of the global one: more than both of these."""

    training_examples_min: Annotated[int, Field(ge=0)] = 3_000
    improvement_min: Annotated[float, Field(ge=0)] = 0.05


class FeatureSource(Value):
    """Where the features of an entity are read when the request does not bring them.

    `url_template` has the placeholders `{tenant}`, `{entity_type}` and `{entity_id}`, each replaced
    percent-encoded. The answer is JSON: `{"version": int or null, "features": {name: value}}`.
    """

    url_template: str
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    revision: Annotated[int, Field(ge=1)] = 1


class KillSwitch(Value):
    """Sends a model type, or one tenant of it, back to the global champion at once."""

    tenant: Slug | None = None
    reason: str | None = None


class RoutableVersion(Value):
    """A version that may answer: in canary or production, named by a running experiment, or a former champion."""

    version_id: str
    model: Slug
    number: Annotated[int, Field(ge=1)]
    semver: Semver
    stage: Stage
    scope: Scope
    industry: Slug | None = None
    tenant: Slug | None = None
    digest: Digest
    training_examples: int | None = None
    improvement: float | None = None
    aliases: tuple[str, ...] = ()
    quarantined: bool = False
    endpoint: Endpoint | None = None


class Champion(Value):
    """The version that serves a slot by default.

    `former` is the champion before it, which a rollback would restore: it answers when the champion's endpoint fails.
    """

    scope: Scope
    industry: Slug | None = None
    tenant: Slug | None = None
    model: Slug
    number: Annotated[int, Field(ge=1)]
    former: VersionReference | None = None


class RunningExperiment(Value):
    """A running experiment: whom it covers and how its units are shared out.

    Empty `tenants` or `industries` cover everyone. `traffic_bp` is the share of units in the
    experiment at all, in basis points; variants share those by `share_bp`, which add up to 10,000.
    """

    experiment_id: str
    key: Slug
    salt: str
    tenants: tuple[Slug, ...] = ()
    industries: tuple[Slug, ...] = ()
    traffic_bp: Annotated[int, Field(ge=0, le=10_000)] = 10_000
    variants: tuple[ExperimentVariant, ...]


class RouteChanged(Event):
    """The whole routing document of a project and model type, as it now is.

    `revision` equals the envelope's `sequence`: it rises by one with each document.
    """

    type: ClassVar[str] = "route.changed.v1"

    project: Slug
    model_type: Slug
    revision: Annotated[int, Field(ge=1)]
    policy: SelectionPolicy = SelectionPolicy()
    feature_source: FeatureSource | None = None
    kill_switches: tuple[KillSwitch, ...] = ()
    versions: tuple[RoutableVersion, ...] = ()
    champions: tuple[Champion, ...] = ()
    experiments: tuple[RunningExperiment, ...] = ()
    shadow_sample_bp: Annotated[int, Field(ge=0, le=10_000)] = 10_000
