"""The HTTP door to experiments."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from modelyard_events.registry import ExperimentVariant
from modelyard_events.values import Slug
from modelyard_runtime.access.permissions import Permission
from pydantic import BaseModel, ConfigDict, Field

from modelyard_registry.api import (
    Answer,
    Caller,
    Project,
    Reason,
    Request,
    Subject,
    carry_out,
    problems,
    requires,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.paging import Page, Paging
from modelyard_registry.experiments import store
from modelyard_registry.experiments.domain import Experiment, ExperimentScope, StartExperiment
from modelyard_registry.experiments.handlers import start_experiment, stop_experiment
from modelyard_registry.experiments.shares import shares_in_words
from modelyard_registry.scoreboard.store import VariantCount, list_variant_counts
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

SCOPE_MAX = 100

Key = Annotated[Slug, Path(description="The experiment's key.", examples=["loan-risk-2026-11"])]


class TreatmentBody(Request):
    """The version to test, and the share of the experiment's units that get it, in basis points."""

    model: Slug
    number: Annotated[int, Field(ge=1, le=2**31 - 1)]
    share_bp: Annotated[int, Field(ge=1, le=9_999)]


class ExperimentBody(Request):
    """A new experiment. `traffic_bp` is the share of units in it at all; no tenants or industries: everyone."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "key": "loan-risk-2026-11",
                    "model_type": "loan-risk",
                    "hypothesis": "The deeper trees err less on long loans.",
                    "treatment": {"model": "loan-risk-global", "number": 4, "share_bp": 1000},
                    "traffic_bp": 10000,
                }
            ]
        }
    )

    key: Slug
    model_type: Slug
    hypothesis: Annotated[str, Field(max_length=2_000)] | None = None
    treatment: TreatmentBody
    traffic_bp: Annotated[int, Field(ge=0, le=10_000)] = 10_000
    tenants: Annotated[tuple[Slug, ...], Field(max_length=SCOPE_MAX)] = ()
    industries: Annotated[tuple[Slug, ...], Field(max_length=SCOPE_MAX)] = ()

    def command(self, *, project: str) -> StartExperiment:
        """What is asked for."""
        return StartExperiment(
            project=project,
            key=self.key,
            model_type=self.model_type,
            hypothesis=self.hypothesis,
            treatment_model=self.treatment.model,
            treatment_number=self.treatment.number,
            share_bp=self.treatment.share_bp,
            traffic_bp=self.traffic_bp,
            scope=ExperimentScope(
                tenants=tuple(sorted(set(self.tenants))), industries=tuple(sorted(set(self.industries)))
            ),
        )


class StopBody(Request):
    """Why the experiment ends."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "decided: treatment"}]})

    reason: Reason | None = None


class ExperimentAnswer(BaseModel):
    """An experiment as callers see it. Its salt is not shown: who knows it can choose a variant."""

    id: str
    key: str
    project: str
    model_type: str
    state: Literal["running", "concluded"]
    hypothesis: str | None
    variants: tuple[ExperimentVariant, ...]
    traffic_bp: int
    shares_in_words: str
    tenants: tuple[str, ...]
    industries: tuple[str, ...]
    started_at: datetime
    started_by: str
    stopped_at: datetime | None
    stopped_by: str | None
    stop_reason: str | None

    @classmethod
    def about(cls, experiment: Experiment) -> Self:
        """The answer for an experiment."""
        return cls(
            id=experiment.id,
            key=experiment.key,
            project=experiment.project,
            model_type=experiment.model_type,
            state=experiment.state,
            hypothesis=experiment.hypothesis,
            variants=experiment.variants,
            traffic_bp=experiment.traffic_bp,
            shares_in_words=shares_in_words(experiment.variants, traffic_bp=experiment.traffic_bp),
            tenants=experiment.scope.tenants,
            industries=experiment.scope.industries,
            started_at=experiment.started_at,
            started_by=experiment.started_by,
            stopped_at=experiment.stopped_at,
            stopped_by=experiment.stopped_by,
            stop_reason=experiment.stop_reason,
        )


class Experiments(Page[ExperimentAnswer]):
    """A page of experiments, by key."""


class VariantCountAnswer(BaseModel):
    """What was counted for a variant. Latency is the mean in milliseconds, None before the first request."""

    variant: str
    exposures: int
    requests: int
    errors: int
    latency_ms_mean: float | None

    @classmethod
    def about(cls, count: VariantCount) -> Self:
        """The answer for a count."""
        return cls(
            variant=count.variant,
            exposures=count.exposures,
            requests=count.requests,
            errors=count.errors,
            latency_ms_mean=count.latency_ms / count.requests if count.requests else None,
        )


class Counts(BaseModel):
    """What was counted for an experiment, each fact once."""

    key: str
    variants: list[VariantCountAnswer]


def experiments_router(*, new_salt: Callable[[], str]) -> APIRouter:
    """The operations; `new_salt` answers 128 random bits as text."""
    router = APIRouter(prefix="/experiments", tags=["experiments"], route_class=BoundedRoute)

    @router.post(
        "",
        status_code=201,
        summary="Start an experiment",
        response_model=ExperimentAnswer,
        responses=problems(404, 409),
        dependencies=[requires(Permission.EXPERIMENTS_WRITE)],
    )
    async def start(call: Caller, project: Project, body: ExperimentBody) -> Response:
        """Its control is what serves the covered callers now, and stays that until the experiment stops."""

        async def work(tx: Transaction) -> Answer:
            experiment = await start_experiment(tx, body.command(project=project), salt=new_salt())
            return Answer(status=201, body=ExperimentAnswer.about(experiment))

        subject = Subject(project=project, path=f"experiments/{body.key}")
        return await carry_out(call, body, work, action=AuditAction.EXPERIMENT_STARTED, subject=subject)

    _add_reads(router)
    router.post(
        "/{key}/stop",
        summary="Stop an experiment",
        response_model=ExperimentAnswer,
        responses=problems(404, 409),
        dependencies=[requires(Permission.EXPERIMENTS_WRITE)],
    )(_stop)
    return router


def _add_reads(router: APIRouter) -> None:
    router.get("", summary="List experiments", responses=problems(), dependencies=[requires(Permission.MODELS_READ)])(
        _list
    )
    router.get(
        "/{key}", summary="Get an experiment", responses=problems(404), dependencies=[requires(Permission.MODELS_READ)]
    )(_get)
    router.get(
        "/{key}/counts",
        summary="What was counted per variant",
        responses=problems(404),
        dependencies=[requires(Permission.MODELS_READ)],
    )(_counts)


async def _stop(call: Caller, project: Project, key: Key, body: StopBody) -> Response:
    """Selection decides again for everyone whom it covered; an experiment that has ended does not go on."""

    async def work(tx: Transaction) -> Answer:
        experiment = await stop_experiment(tx, project=project, key=key, reason=body.reason)
        return Answer(status=200, body=ExperimentAnswer.about(experiment))

    subject = Subject(project=project, path=f"experiments/{key}")
    return await carry_out(call, body, work, action=AuditAction.EXPERIMENT_STOPPED, subject=subject)


async def _list(
    call: Caller,
    paging: Paging,
    project: Project,
    state: Annotated[Literal["running", "concluded"] | None, Query(description="Only these.")] = None,
    model_type: Annotated[Slug | None, Query(description="Only of this model type.")] = None,
) -> Experiments:
    """Experiments by key."""
    after = paging.after(str) or ""
    async with call.services.database.reading() as connection:
        found = await store.list_experiments(
            connection,
            project=project,
            after=after,
            state=state,
            model_type=model_type,
            limit=paging.limit,
        )
    return paging.page(Experiments, found, of=ExperimentAnswer.about, key=lambda each: each.key)


async def _get(call: Caller, project: Project, key: Key) -> ExperimentAnswer:
    """An experiment with its variants."""
    async with call.services.database.reading() as connection:
        return ExperimentAnswer.about(await store.get_experiment(connection, project=project, key=key))


async def _counts(call: Caller, project: Project, key: Key) -> Counts:
    """Exposures, requests, errors and latency per variant; each fact is counted once."""
    async with call.services.database.reading() as connection:
        experiment = await store.get_experiment(connection, project=project, key=key)
        counts = await list_variant_counts(connection, experiment_id=experiment.id)
    counted = {each.variant: each for each in counts}
    return Counts(
        key=key,
        variants=[
            VariantCountAnswer.about(counted.get(each.name, VariantCount(variant=each.name)))
            for each in experiment.variants
        ],
    )
