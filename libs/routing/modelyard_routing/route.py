"""Compiles a routing document into a route. Every choice that does not depend on the request is made here.

A request then takes a few look-ups and, in an experiment, one hash for each draw.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from modelyard_events.routes import (
    Champion,
    RoutableVersion,
    RouteChanged,
    RunningExperiment,
)
from modelyard_events.values import Datatype, Scope, Stage

from modelyard_routing.allocation import Share, shadow_sample, traffic, treatment
from modelyard_routing.decision import Reason, Refusal, RefusalCode, RouteDecision, RouteFacts, ServableVersion
from modelyard_routing.passed_over import (
    KILLED,
    NOT_APPOINTED,
    NOT_IN_DOCUMENT,
    QUARANTINED,
    PassedOver,
    passed_over,
)
from modelyard_routing.selection_policy import why_not_worth_it

ROUTABLE_STAGES = frozenset({Stage.CANARY, Stage.PRODUCTION})

Answer = RouteDecision | Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledExperiment:
    """A running experiment. Empty `tenants` or `industries` cover everyone."""

    tenants: frozenset[str]
    industries: frozenset[str]
    traffic: Share
    treated: Share
    treatment: RouteDecision
    control: RouteDecision
    without_unit: RouteDecision


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The compiled document of one project and model type.

    `skipped` says which parts of the document could not be used, and why: sentences for the operator. Answers
    carry who was passed over; those that depend on tenant and industry together are made when first asked for.
    `tenants` have a champion of their own, be it passed over.
    """

    document: RouteChanged
    order: tuple[int, int]
    models: frozenset[str]
    forced_numbers: Mapping[tuple[str, int], Answer]
    forced_semvers: Mapping[tuple[str, str], Answer]
    forced_aliases: Mapping[tuple[str, str], Answer]
    is_killed: bool
    killed_tenants: frozenset[str]
    killed: Answer
    experiments: tuple[CompiledExperiment, ...]
    tenant_champions: Mapping[str, Answer]
    industry_champions: Mapping[str, Answer]
    passed_tenants: Mapping[str, PassedOver]
    tenants: frozenset[str]
    global_champion: Answer
    skipped: tuple[str, ...]
    _made: dict[tuple[str, str | None, str | None], Answer] = field(default_factory=dict, compare=False)

    def killed_for(self, tenant: str | None, industry: str | None) -> Answer:
        """Return the answer under a kill switch: the global champion, with the champions that are passed over."""
        tenant = tenant if tenant in self.tenant_champions else None
        industry = industry if industry in self.industry_champions else None
        if tenant is None and industry is None:
            return self.killed
        return self._once("killed", tenant, industry)

    def behind_tenant(self, tenant: str, industry: str | None) -> Answer:
        """Return the answer for a tenant whose champion is passed over."""
        return self._once("behind", tenant, industry if industry in self.industry_champions else None)

    def _once(self, what: str, tenant: str | None, industry: str | None) -> Answer:
        # The same object each time, because a decision is compared by identity and rendered once.
        key = (what, tenant, industry)
        if key not in self._made:
            self._made[key] = self._killed(tenant, industry) if what == "killed" else self._behind(tenant, industry)
        return self._made[key]

    def _killed(self, tenant: str | None, industry: str | None) -> Answer:
        champions = (
            None if tenant is None else self.tenant_champions[tenant],
            None if industry is None else self.industry_champions[industry],
        )
        served = [each.served.version for each in champions if isinstance(each, RouteDecision)]
        special = [version for version in served if version.scope is not Scope.GLOBAL]
        return _with(self.killed, *(passed_over(each.model, each.number, KILLED) for each in special))

    def _behind(self, tenant: str | None, industry: str | None) -> Answer:
        answer = self.global_champion if industry is None else self.industry_champions[industry]
        return answer if tenant is None else _with(answer, self.passed_tenants[tenant])


def compile_route(document: RouteChanged, *, order: tuple[int, int]) -> Route:
    """Return the route of a document. It never fails: parts that cannot be used are listed in `skipped`."""
    return _Compiler(document, order).route()


class _Compiler:
    def __init__(self, document: RouteChanged, order: tuple[int, int]) -> None:
        self.document = document
        self.order = order
        self.facts = RouteFacts(
            project=document.project,
            model_type=document.model_type,
            generation=order[0],
            revision=document.revision,
            feature_source=document.feature_source,
            declared=_declared(document.versions),
        )
        self.versions = {(version.model, version.number): version for version in document.versions}
        self.servable = {key: _servable(document.project, version) for key, version in self.versions.items()}
        self.shadow_sample = shadow_sample(
            salt=f"{document.project}/{document.model_type}", sample_bp=document.shadow_sample_bp
        )
        self.skipped: list[str] = []
        self.passed_global: list[PassedOver] = []
        self.passed_tenants: dict[str, PassedOver] = {}
        self.passed_industries: dict[str, PassedOver] = {}
        self.passed_experiments: list[PassedOver] = []
        self.global_version = self._global_version()
        self.former = self._former_champions()

    def route(self) -> Route:
        document = self.document
        experiments = tuple(self._experiments())
        everywhere = self._global(Reason.GLOBAL_CHAMPION)
        tenants = self._champions(Scope.TENANT, Reason.TENANT_CHAMPION, self.passed_tenants)
        industries = self._champions(Scope.INDUSTRY, Reason.INDUSTRY_CHAMPION, self.passed_industries)
        industries.update({whose: _with(everywhere, passed) for whose, passed in self.passed_industries.items()})
        aside = self.passed_experiments
        forced = self._forced(Reason.FORCED_VERSION)
        return Route(
            document=document,
            order=self.order,
            models=frozenset(version.model for version in document.versions),
            forced_numbers=forced,
            forced_semvers={
                (model, self.versions[model, number].semver): answer for (model, number), answer in forced.items()
            },
            forced_aliases={
                (model, alias): answer
                for (model, number), answer in self._forced(Reason.FORCED_ALIAS).items()
                for alias in self.versions[model, number].aliases
            },
            is_killed=any(switch.tenant is None for switch in document.kill_switches),
            killed_tenants=frozenset(switch.tenant for switch in document.kill_switches if switch.tenant),
            killed=self._global(Reason.KILL_SWITCH),
            experiments=experiments,
            tenant_champions={whose: _with(answer, *aside) for whose, answer in tenants.items()},
            industry_champions={whose: _with(answer, *aside) for whose, answer in industries.items()},
            passed_tenants=self.passed_tenants,
            tenants=frozenset({*tenants, *self.passed_tenants}),
            global_champion=_with(everywhere, *aside),
            skipped=tuple(self.skipped),
        )

    def _global_version(self) -> RoutableVersion | None:
        for champion in self.document.champions:
            if champion.scope is Scope.GLOBAL:
                version = self._version_of(champion)
                if isinstance(version, RoutableVersion):
                    return version
                self.passed_global.append(version)
                return None
        self.passed_global += [
            passed_over(version.model, version.number, NOT_APPOINTED)
            for version in self.document.versions
            if version.stage is Stage.PRODUCTION and version.scope is Scope.GLOBAL
        ]
        return None

    def _version_of(self, champion: Champion) -> RoutableVersion | PassedOver:
        version = self.versions.get((champion.model, champion.number))
        if version is not None and not version.quarantined:
            return version
        why = NOT_IN_DOCUMENT if version is None else QUARANTINED
        self.skipped.append(f"champion {champion.model}/{champion.number} {why}")
        return passed_over(champion.model, champion.number, why)

    def _global(self, reason: Reason) -> Answer:
        if self.global_version is None:
            refusal = no_route(
                f"Project {self.facts.project} has no global champion of model type {self.facts.model_type}.",
            )
            return _with(refusal, *self.passed_global)
        return self._answer(self.global_version, reason)

    def _champions(self, scope: Scope, reason: Reason, passed: dict[str, PassedOver]) -> dict[str, Answer]:
        """Return the answers by industry or tenant. Those whose champion does not serve are put into `passed`."""
        answers: dict[str, Answer] = {}
        for champion in self.document.champions:
            whose = champion.tenant if scope is Scope.TENANT else champion.industry
            if champion.scope is not scope or whose is None:
                continue
            version = self._version_of(champion)
            if isinstance(version, PassedOver):
                passed[whose] = version
            elif scope is Scope.INDUSTRY and (why := why_not_worth_it(version, self.document.policy)) is not None:
                passed[whose] = passed_over(version.model, version.number, why)
            else:
                answers[whose] = self._answer(version, reason)
        return answers

    def _forced(self, reason: Reason) -> dict[tuple[str, int], Answer]:
        named = {
            (variant.model, variant.number)
            for experiment in self.document.experiments
            for variant in experiment.variants
        }
        return {
            key: self._answer(version, reason)
            for key, version in self.versions.items()
            if version.stage in ROUTABLE_STAGES or key in named or version.quarantined
        }

    def _answer(self, version: RoutableVersion, reason: Reason) -> Answer:
        servable = self.servable[version.model, version.number]
        return servable if isinstance(servable, Refusal) else self._decision(servable, reason)

    def _decision(self, served: ServableVersion, reason: Reason) -> RouteDecision:
        champion = self._servable_global()
        other = champion if champion is not None and champion is not served else None
        is_shadowed = other is not None and served.version.scope is Scope.INDUSTRY
        return RouteDecision(
            route=self.facts,
            served=served,
            reason=reason,
            fallbacks=_distinct(
                (each for each in (self.former.get(_key(served)), other) if each is not None), without=served
            ),
            shadow=other if is_shadowed else None,
            shadow_sample=self.shadow_sample,
        )

    def _servable_global(self) -> ServableVersion | None:
        if self.global_version is None:
            return None
        servable = self.servable[self.global_version.model, self.global_version.number]
        return None if isinstance(servable, Refusal) else servable

    def _former_champions(self) -> dict[tuple[str, int], ServableVersion]:
        """Return, by champion, the former champion that answers when the champion's endpoint fails."""
        former: dict[tuple[str, int], ServableVersion] = {}
        for champion in self.document.champions:
            named = champion.former
            servable = None if named is None else self.servable.get((named.model, named.number))
            if isinstance(servable, ServableVersion):
                former[champion.model, champion.number] = servable
        return former

    def _experiments(self) -> Iterable[CompiledExperiment]:
        for experiment in self.document.experiments:
            compiled = self._experiment(experiment)
            if isinstance(compiled, str):
                self.skipped.append(f"experiment {experiment.key} {compiled}")
                if not experiment.tenants and not experiment.industries:
                    self.passed_experiments += [
                        passed_over(each.model, each.number, f"is in the experiment {experiment.key}, which {compiled}")
                        for each in experiment.variants
                        if each.role == "treatment"
                    ]
            else:
                yield compiled

    def _experiment(self, experiment: RunningExperiment) -> CompiledExperiment | str:
        """Return the compiled experiment, or why it does not run: serving one arm only would bias it."""
        controls = [variant for variant in experiment.variants if variant.role == "control"]
        treatments = [variant for variant in experiment.variants if variant.role == "treatment"]
        if len(controls) != 1 or len(treatments) != 1:
            return "does not have one control and one treatment"
        arms: list[RouteDecision] = []
        for variant in (controls[0], treatments[0]):
            servable = self.servable.get((variant.model, variant.number))
            if servable is None:
                return f"names {variant.model}/{variant.number}, which is not in the document"
            if isinstance(servable, Refusal):
                return f"cannot serve {variant.model}/{variant.number}: {servable.code}"
            arms.append(replace(self._decision(servable, Reason.EXPERIMENT), experiment=experiment))
        taken = traffic(salt=experiment.salt, traffic_bp=experiment.traffic_bp)
        treated = treatment(salt=experiment.salt, share_bp=treatments[0].share_bp)
        return CompiledExperiment(
            tenants=frozenset(experiment.tenants),
            industries=frozenset(experiment.industries),
            traffic=taken,
            treated=treated,
            treatment=replace(
                arms[1],
                variant=treatments[0],
                propensity=treated.propensity,
                fallbacks=_distinct((arms[0].served, *arms[0].fallbacks), without=arms[1].served),
            ),
            control=replace(arms[0], variant=controls[0], propensity=1 - treated.propensity),
            without_unit=replace(arms[0], reason=Reason.NO_UNIT),
        )


def no_route(detail: str) -> Refusal:
    """Return the refusal of a request that no version serves."""
    return Refusal(
        code=RefusalCode.NO_ROUTE,
        detail=detail,
        fix="Check project and model_type, or promote a version of a model with scope global to production.",
    )


def _servable(project: str, version: RoutableVersion) -> ServableVersion | Refusal:
    name = f"{version.model}/{version.number}"
    if version.quarantined:
        return Refusal(
            code=RefusalCode.VERSION_QUARANTINED,
            detail=f"{name} is quarantined and never served.",
            fix="Ask for another version, or release this one from quarantine in the registry.",
        )
    if version.endpoint is None:
        return Refusal(
            code=RefusalCode.ENDPOINT_MISSING,
            detail=f"{name} has no endpoint to answer at.",
            fix="Record a deployment of this version with its endpoint in the registry.",
        )
    identity = f"{project}/{version.version_id}/{version.digest}/{version.endpoint.revision}"
    return ServableVersion(version=version, endpoint=version.endpoint, cache_identity=identity)


def _declared(versions: Iterable[RoutableVersion]) -> dict[str, frozenset[Datatype]] | None:
    declared: dict[str, frozenset[Datatype]] = {}
    for version in versions:
        if version.endpoint is None:
            continue
        if not version.endpoint.inputs:
            return None
        for feature in version.endpoint.inputs:
            declared[feature.name] = declared.get(feature.name, frozenset()) | {feature.datatype}
    return declared


def _key(served: ServableVersion) -> tuple[str, int]:
    return served.version.model, served.version.number


def _distinct(versions: Iterable[ServableVersion], *, without: ServableVersion) -> tuple[ServableVersion, ...]:
    by_key = {_key(each): each for each in versions if _key(each) != _key(without)}
    return tuple(by_key.values())


def _with(answer: Answer, *passed: PassedOver) -> Answer:
    """Return the answer with the versions that were passed over before it."""
    if not passed:
        return answer
    known = (*passed, *answer.passed_over)
    if isinstance(answer, RouteDecision):
        return replace(answer, passed_over=known)
    named = "; ".join(f"{each.version} {each.why}" for each in known)
    return replace(answer, passed_over=known, fix=f"{answer.fix} Passed over: {named}.")
