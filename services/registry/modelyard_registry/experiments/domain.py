"""What an experiment is, and the rules by which one starts. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Literal

from modelyard_events.registry import ExperimentVariant
from modelyard_events.routes import RoutableVersion, RouteChanged
from modelyard_events.values import Stage
from modelyard_runtime.problems import ConflictError

from modelyard_registry.routes.domain import select_champion

BASIS_POINTS = 10_000
TREATABLE_STAGES = frozenset({Stage.CANARY, Stage.PRODUCTION})
"""Where a treatment stands: an experiment gives traffic only to what may have it by its stage."""

State = Literal["running", "concluded"]


class NoControlError(ConflictError):
    """Nothing serves the callers that the experiment would cover."""

    code = "no-control"
    when = "No champion with an endpoint serves the callers that the experiment would cover."
    fix = "Promote a version to production, make it champion and record its deployment first."


class ControlAmbiguousError(ConflictError):
    """The callers that the experiment would cover are served by different versions."""

    code = "control-ambiguous"
    when = "Different champions serve the callers that the experiment would cover."
    fix = "Start one experiment for each group of callers that the same champion serves."


class TreatmentNotRoutableError(ConflictError):
    """The treatment cannot answer requests."""

    code = "treatment-not-routable"
    when = (
        "The treatment's stage, quarantine, endpoint, model type or missing agreement keeps it from answering requests."
    )
    fix = "Remove the obstacle that `detail` names, or choose another version as the treatment."


class ExperimentOverlapsError(ConflictError):
    """Another running experiment covers some of the same callers."""

    code = "experiment-overlaps"
    when = "A running experiment covers some of the same tenants or industries."
    fix = "Stop that experiment first, or choose other tenants or industries."


class ExperimentKeyTakenError(ConflictError):
    """The project has an experiment of this key already."""

    code = "experiment-key-taken"
    when = "The project has, or had, an experiment of this key."
    fix = "Choose another key: the counts of an experiment stay under its key for good."


class ExperimentNotRunningError(ConflictError):
    """The experiment has ended already."""

    code = "experiment-not-running"
    when = "The experiment that is to be stopped was stopped before."
    fix = "Nothing is left to do; start a new experiment under another key to compare again."


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentScope:
    """Whom an experiment covers: callers of these tenants and industries; none named covers everyone."""

    tenants: tuple[str, ...] = ()
    industries: tuple[str, ...] = ()

    def intersects(self, other: "ExperimentScope") -> bool:
        """Whether some caller could be in both."""
        return _meet(self.tenants, other.tenants) and _meet(self.industries, other.industries)

    def __str__(self) -> str:
        tenants = f"tenants {', '.join(self.tenants)}" if self.tenants else "all tenants"
        industries = f"industries {', '.join(self.industries)}" if self.industries else "all industries"
        return f"{tenants}, {industries}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartExperiment:
    """Compare a treatment with what serves now. Shares and traffic are basis points."""

    project: str
    key: str
    model_type: str
    hypothesis: str | None
    treatment_model: str
    treatment_number: int
    share_bp: int
    traffic_bp: int
    scope: ExperimentScope


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A comparison with its end, if it has ended."""

    id: str
    project: str
    model_type: str
    key: str
    salt: str
    state: State
    hypothesis: str | None
    traffic_bp: int
    scope: ExperimentScope
    variants: tuple[ExperimentVariant, ...]
    started_at: datetime
    started_by: str
    stopped_at: datetime | None = None
    stopped_by: str | None = None
    stop_reason: str | None = None

    @property
    def control(self) -> ExperimentVariant:
        """The variant that is the baseline."""
        return next(each for each in self.variants if each.role == "control")

    @property
    def subject(self) -> str:
        """Its path under the project, for the audit log."""
        return f"experiments/{self.key}"

    def names(self, *, model: str, number: int) -> bool:
        """Whether one of its variants is this version."""
        return any((each.model, each.number) == (model, number) for each in self.variants)


def decide_variants(
    command: StartExperiment,
    *,
    document: RouteChanged,
    treatment: RoutableVersion,
    running: Iterable[Experiment],
    is_agreed: bool = True,
) -> tuple[ExperimentVariant, ...]:
    """Control and treatment of a new experiment, or a refusal.

    `document` is the route as it is now, `treatment` the version with its endpoint; `is_agreed` when people agreed
    to it in its stage as policy demands now. Raises NoControlError, ControlAmbiguousError,
    TreatmentNotRoutableError or ExperimentOverlapsError.
    """
    _refuse_overlap(command, running)
    control = decide_control(document, scope=command.scope)
    _refuse_treatment_unless_routable(command, treatment=treatment, control=control)
    _refuse_treatment_unless_agreed(treatment, is_agreed=is_agreed)
    return (
        ExperimentVariant(
            name="control",
            role="control",
            model=control.model,
            number=control.number,
            share_bp=BASIS_POINTS - command.share_bp,
        ),
        ExperimentVariant(
            name="treatment",
            role="treatment",
            model=treatment.model,
            number=treatment.number,
            share_bp=command.share_bp,
        ),
    )


def decide_control(document: RouteChanged, *, scope: ExperimentScope) -> RoutableVersion:
    """What selection gives the covered callers now. Raises NoControlError or ControlAmbiguousError."""
    callers = product(scope.tenants or (None,), scope.industries or (None,))
    found = {
        (version.model, version.number) if version is not None else None: version
        for version in (select_champion(document, tenant=tenant, industry=industry) for tenant, industry in callers)
    }
    if len(found) > 1:
        names = sorted(f"{key[0]}/{key[1]}" if key is not None else "nothing" for key in found)
        raise ControlAmbiguousError(
            f"The callers of {scope} are served by {', '.join(names)}; a control is one version."
        )
    control = next(iter(found.values()))
    if control is None:
        raise NoControlError(
            f"No champion of model type {document.model_type} serves the callers of {scope}.",
            fix="Promote a version to production and make it champion first.",
        )
    if control.endpoint is None:
        raise NoControlError(
            f"The champion {control.model}/{control.number} has no endpoint in production.",
            fix="Record its deployment first.",
        )
    return control


def _refuse_overlap(command: StartExperiment, running: Iterable[Experiment]) -> None:
    for each in running:
        if each.scope.intersects(command.scope):
            raise ExperimentOverlapsError(
                f"The running experiment {each.key} covers {each.scope}, and some of them are among yours.",
                fix=f"Stop {each.key} first, or choose other tenants or industries.",
                experiment=each.key,
            )


def _refuse_treatment_unless_routable(
    command: StartExperiment, *, treatment: RoutableVersion, control: RoutableVersion
) -> None:
    name = f"{treatment.model}/{treatment.number}"
    if treatment.stage not in TREATABLE_STAGES:
        raise TreatmentNotRoutableError(
            f"{name} is in {treatment.stage.value}, and an experiment sends traffic only to versions in canary or"
            " production.",
            fix=f"Move it to canary first with POST {_path_of(command, treatment)}/transitions, or ask for that with"
            " POST …/transition-requests where policy demands approvals.",
            stage=treatment.stage.value,
        )
    if treatment.quarantined:
        raise TreatmentNotRoutableError(
            f"{name} is quarantined.", fix="Release it from quarantine, or choose another version."
        )
    if treatment.endpoint is None:
        raise TreatmentNotRoutableError(f"{name} has no endpoint in production.", fix="Record its deployment first.")
    if (treatment.model, treatment.number) == (control.model, control.number):
        raise TreatmentNotRoutableError(
            f"{name} is what serves these callers already, so it is the control.",
            fix="Choose another version as the treatment.",
        )


def _refuse_treatment_unless_agreed(treatment: RoutableVersion, *, is_agreed: bool) -> None:
    if not is_agreed:
        stage = treatment.stage.value
        raise TreatmentNotRoutableError(
            f"{treatment.model}/{treatment.number} came to {stage} before policy demanded that others agree to it.",
            fix=f"Move it out of {stage}, and ask for {stage} with POST …/transition-requests.",
            stage=stage,
        )


def _path_of(command: StartExperiment, treatment: RoutableVersion) -> str:
    return f"/api/v1/projects/{command.project}/registered-models/{treatment.model}/versions/{treatment.number}"


def _meet(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    return not ours or not theirs or not set(ours).isdisjoint(theirs)
