"""The verdict of each gate: a pure function of the rule and of what is known about the version."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from modelyard_events.standard_metrics import is_higher_better
from modelyard_events.values import Evidence, ModelCard

from modelyard_registry.artifact_inspection.findings import ACCOMPANYING, Finding, Inspection
from modelyard_registry.gates.rules import (
    ChampionGate,
    ComplianceGate,
    GateRule,
    PerformanceGate,
    Readiness,
    ReadinessGate,
    ReviewGate,
    SecurityGate,
    TestsGate,
)
from modelyard_registry.gates.signatures import SIGNATURE, SignatureKey, find_signer

FORMATS_WITHOUT_CODE = frozenset(
    {"onnx", "safetensors", "saved-model", "npy", "npz", "json", "jsonl", "lightgbm", "pmml"}
)
"""Formats whose files are data: loading one runs no code of its author's."""

CONTAINERS = frozenset({"zip", "tar", "gzip", "bzip2", "xz", "zlib", "folder"})
"""What holds files, each of which is judged."""

FORMATS_WITH_CODE = frozenset(
    {"pickle", "joblib", "cloudpickle", "dill", "torch", "torchscript", "keras", "h5", "mar", "rds"}
)
"""Formats that can hold code, which `allow_pickle` admits."""

FINDINGS_TOLD_MAX = 5

SCAN, TESTS = "security_scan", "tests"
"""The kinds of checks that gates look at."""

PASSED = "passed"
_RECORD = "POST …/versions/{n}/checks with the permission versions:check."


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionEvidence:
    """The version that serves now, as a gate compares with it."""

    model: str
    number: int
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class GateInputs:
    """Everything that gates look at: the evidence of the registration, and what is known about the version now.

    `champion` is the version that the transition is measured against, if there is one. `had_champion` says
    whether the registered model ever had a champion, `rollback_target` which version a rollback could restore.
    `signature` is what is attached under that name; one of `signature_keys` may have made it. `checks` are the
    outcomes of the newest checks by kind. `artifact` says what the stored artifact consists of, None when none
    is stored; `attached` says the same of the further artifacts, by name.
    """

    evidence: Evidence
    checks: Mapping[str, str]
    model_card: ModelCard | None
    digest: str
    format: str
    artifact: Inspection | None
    endpoint_health: str | None
    owner: str | None
    review_status: str | None
    primary_metric: str | None
    higher_is_better: bool
    champion: ChampionEvidence | None
    had_champion: bool
    rollback_target: int | None
    signature: bytes | None = None
    signature_keys: tuple[SignatureKey, ...] = ()
    attached: Mapping[str, Inspection] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a gate says: whether it is passed, why in words, and the values that it looked at."""

    gate: str
    passed: bool
    reason: str
    evidence: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """The verdict as JSON has it."""
        return asdict(self)


def judge(rules: Iterable[GateRule], inputs: GateInputs) -> tuple[Verdict, ...]:
    """The verdict of every gate, in the order of the policy."""
    return tuple(_verdict(rule, inputs) for rule in rules)


def _verdict(rule: GateRule, inputs: GateInputs) -> Verdict:
    match rule:
        case PerformanceGate():
            return _performance(rule, inputs)
        case ChampionGate():
            return _no_worse_than_champion(rule, inputs)
        case ComplianceGate():
            return _compliance(rule, inputs)
        case SecurityGate():
            return _security(rule, inputs)
        case ReadinessGate():
            return _readiness(rule, inputs)
        case ReviewGate():
            status = inputs.review_status
            reason = f"The review status is {status or 'not set'}."
            return _say(rule, passed=status == "approved", reason=reason, review_status=status)
        case TestsGate():
            tests = inputs.checks.get(TESTS)
            reason = f"The newest tests {tests}." if tests else f"No service has recorded {TESTS}: {_RECORD}"
            return _say(rule, passed=tests == PASSED, reason=reason, tests=tests)


def _performance(rule: PerformanceGate, inputs: GateInputs) -> Verdict:
    value = inputs.evidence.metrics.get(rule.metric)
    seen = {"metric": rule.metric, "value": value, "min": rule.min, "max": rule.max}
    if value is None or not math.isfinite(value):
        return _say(rule, passed=False, reason=f"The evidence has no metric {rule.metric!r}.", **seen)
    if rule.min is not None and value < rule.min:
        return _say(rule, passed=False, reason=f"{rule.metric} is {value:g}, less than {rule.min:g}.", **seen)
    if rule.max is not None and value > rule.max:
        return _say(rule, passed=False, reason=f"{rule.metric} is {value:g}, more than {rule.max:g}.", **seen)
    return _say(rule, passed=True, reason=f"{rule.metric} is {value:g}, within its limits.", **seen)


def _no_worse_than_champion(rule: ChampionGate, inputs: GateInputs) -> Verdict:
    champion = inputs.champion
    if champion is None:
        return _say(rule, passed=True, reason="There is no champion to be worse than.")
    metric = rule.metric or inputs.primary_metric
    higher_is_better = _direction(rule, inputs)
    seen = {"champion": f"{champion.model}/{champion.number}", "metric": metric, "margin": rule.margin}
    if metric is None or higher_is_better is None:
        reason = "The registered model has no primary metric." if metric is None else f"Is more {metric} better?"
        return _say(rule, passed=False, reason=f"{reason} It cannot be compared.", **seen)
    obstacle = why_incomparable(inputs.evidence, champion.evidence, metric=metric)
    if obstacle is not None:
        return _say(rule, passed=False, reason=obstacle, **seen)
    ours, theirs = inputs.evidence.metrics[metric], champion.evidence.metrics[metric]
    worse_by = (theirs - ours) if higher_is_better else (ours - theirs)
    allowed = rule.margin * abs(theirs)
    passed = worse_by <= allowed
    words = f"{metric} is {ours:g}, the champion's {theirs:g}; {allowed:g} worse is allowed."
    return _say(rule, passed=passed, reason=words, value=ours, champion_value=theirs, worse_by=worse_by, **seen)


def _direction(rule: ChampionGate, inputs: GateInputs) -> bool | None:
    if rule.higher_is_better is not None:
        return rule.higher_is_better
    if rule.metric in (None, inputs.primary_metric):
        return inputs.higher_is_better
    return is_higher_better(rule.metric)


def why_incomparable(ours: Evidence, theirs: Evidence, *, metric: str) -> str | None:
    """Why a version and a champion cannot be compared by `metric`; None when they can."""
    for whose, evidence in (("version", ours), ("champion", theirs)):
        if not math.isfinite(evidence.metrics.get(metric, math.nan)):
            return f"The {whose}'s evidence has no metric {metric!r}."
        if evidence.validation_data_version is None:
            return f"The {whose}'s evidence names no validation_data_version."
    if ours.validation_data_version != theirs.validation_data_version:
        return (
            f"Measured on other validation data: {ours.validation_data_version!r} here, "
            f"{theirs.validation_data_version!r} for the champion."
        )
    return None


def _compliance(rule: ComplianceGate, inputs: GateInputs) -> Verdict:
    status = inputs.evidence.compliance_status
    passed = status is not None and status.lower() in {word.lower() for word in rule.allowed}
    said = f"The compliance status is {status!r}." if status else "The evidence has no compliance_status."
    return _say(rule, passed=passed, reason=said, compliance_status=status, allowed=list(rule.allowed))


def _security(rule: SecurityGate, inputs: GateInputs) -> Verdict:
    scan = inputs.checks.get(SCAN)
    faults = _artifact_faults(rule, inputs)
    if rule.scan_passed and scan != PASSED:
        faults.append(f"The newest scan {scan}." if scan else f"No service has recorded a {SCAN}: {_RECORD}")
    seen: dict[str, Any] = {
        "digest": inputs.digest,
        "artifact_is_stored": inputs.artifact is not None,
        "format": inputs.format,
        "formats": [] if inputs.artifact is None else sorted(inputs.artifact.formats),
    }
    if rule.signed:
        finding = find_signer(inputs.signature, digest=inputs.digest, keys=inputs.signature_keys)
        seen["signed_by"] = finding.signed_by
        faults += [] if finding.signed_by else [finding.reason]
    reason = " ".join(faults) or "The digest is verified, and every part of the artifact is allowed."
    return _say(rule, passed=not faults, reason=reason, security_scan=scan, **seen)


def _artifact_faults(rule: SecurityGate, inputs: GateInputs) -> list[str]:
    if inputs.artifact is None:
        return ["No stored artifact has this digest."]
    known = FORMATS_WITHOUT_CODE | CONTAINERS | (FORMATS_WITH_CODE if rule.allow_pickle else frozenset())
    faults = []
    is_code = inputs.format in FORMATS_WITH_CODE and not rule.allow_pickle
    if is_code or inputs.format not in (known if rule.formats is None else rule.formats):
        faults.append(f"The format {inputs.format} is not allowed.")
    faults += _part_faults(rule, inputs.artifact, known=known | {inputs.format}, whose="The artifact")
    for name, attached in inputs.attached.items():
        if name != SIGNATURE:
            faults += _part_faults(rule, attached, known=known, whose=f"What is attached as {name}")
    return faults


def _part_faults(rule: SecurityGate, inspection: Inspection, *, known: frozenset[str], whose: str) -> list[str]:
    """What of an artifact's parts is not allowed; one that may run code, where that is allowed, is allowed whole."""
    if inspection.findings:
        told = " ".join(_told(finding) for finding in inspection.findings[:FINDINGS_TOLD_MAX])
        return [] if rule.allow_pickle else [f"{whose} can run code when it is loaded: {told}"]
    others = sorted(inspection.formats - known - ACCOMPANYING - frozenset(rule.formats or ()))
    return [f"{whose} has parts of the format {', '.join(others)}: not known to hold no code."] if others else []


def _told(finding: Finding) -> str:
    return f"{finding.path}: {finding.why}" if finding.path else finding.why


def _readiness(rule: ReadinessGate, inputs: GateInputs) -> Verdict:
    seen: dict[Readiness, Any] = {
        "endpoint": inputs.endpoint_health,
        "model_card": inputs.model_card is not None,
        "owner": inputs.owner,
        "rollback_target": inputs.rollback_target,
    }
    faults = [_FAULTS[need] for need in rule.needs if not _is_ready(need, inputs)]
    reason = " ".join(faults) or "Everything that operators need is there."
    return _say(rule, passed=not faults, reason=reason, **{need: seen[need] for need in rule.needs})


_FAULTS: dict[Readiness, str] = {
    "endpoint": "No production endpoint is known to be healthy.",
    "model_card": "The version has no model card.",
    "owner": "Neither the version nor its registered model has an owner.",
    "rollback_target": "There is no version that a rollback could restore.",
}


def _is_ready(need: Readiness, inputs: GateInputs) -> bool:
    match need:
        case "endpoint":
            return inputs.endpoint_health == "healthy"
        case "model_card":
            return inputs.model_card is not None
        case "owner":
            return inputs.owner is not None
        case "rollback_target":
            # The first champion of a model has nothing behind it, and takes no one's place.
            return inputs.rollback_target is not None or not inputs.had_champion


def _say(rule: GateRule, *, passed: bool, reason: str, **evidence: Any) -> Verdict:
    return Verdict(gate=rule.gate, passed=passed, reason=reason, evidence=evidence)
