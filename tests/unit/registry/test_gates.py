"""Every gate's verdict, with the evidence for it."""

import base64
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from modelyard_events.values import Evidence, ModelCard
from modelyard_registry.artifact_inspection.findings import Finding, Inspection
from modelyard_registry.gates.domain import ChampionEvidence, GateInputs, Verdict, judge
from modelyard_registry.gates.rules import GateRule
from modelyard_registry.gates.signatures import SignatureKey
from pydantic import TypeAdapter

RULE: TypeAdapter[GateRule] = TypeAdapter(GateRule)


def evidence(**said: Any) -> Evidence:
    return Evidence.model_validate({"metrics": {"auc": 0.9}, "validation_data_version": "holdout-7", **said})


A_PICKLE = Inspection(
    format="pickle", formats=frozenset({"pickle"}), findings=(Finding(path="", why="It is a pickle.", is_pickle=True),)
)
IN_A_FOLDER = Inspection(
    format="zip",
    formats=frozenset({"zip"}),
    findings=(Finding(path="model/data.pkl", why="It is a pickle.", is_pickle=True),),
)
INPUTS = GateInputs(
    evidence=evidence(),
    checks={},
    model_card=None,
    digest="sha256:" + "9f" * 32,
    format="onnx",
    artifact=Inspection(format="onnx", formats=frozenset({"onnx"})),
    endpoint_health="healthy",
    owner="risk-team",
    review_status=None,
    primary_metric="auc",
    higher_is_better=True,
    champion=None,
    had_champion=True,
    rollback_target=1,
)


def verdict(rule: dict[str, Any], inputs: GateInputs = INPUTS) -> Verdict:
    [found] = judge([RULE.validate_python(rule)], inputs)
    return found


def champion(**said: Any) -> ChampionEvidence:
    return ChampionEvidence(model="risk", number=1, evidence=evidence(**said))


@pytest.mark.parametrize(
    ("limits", "passed"),
    [({"min": 0.9}, True), ({"max": 0.9}, True), ({"min": 0.91}, False), ({"max": 0.89}, False)],
)
def test_a_metric_passes_up_to_its_limits(limits: dict[str, float], passed: bool) -> None:
    found = verdict({"gate": "performance", "metric": "auc", **limits})

    assert found.passed is passed
    assert found.evidence["value"] == 0.9


def test_a_metric_that_nobody_measured_does_not_pass() -> None:
    found = verdict({"gate": "performance", "metric": "f1_score", "min": 0})

    assert not found.passed
    assert "no metric 'f1_score'" in found.reason


@pytest.mark.parametrize(
    ("higher_is_better", "champions", "margin", "passed"),
    [
        (True, 0.9, 0.0, True),
        (True, 0.91, 0.0, False),
        (True, 0.91, 0.02, True),
        (True, 1.0, 0.05, False),
        (False, 0.89, 0.0, False),
        (False, 0.89, 0.02, True),
        (False, 0.95, 0.0, True),
    ],
)
def test_no_worse_than_the_champion_knows_which_way_is_better(
    higher_is_better: bool, champions: float, margin: float, passed: bool
) -> None:
    inputs = replace(INPUTS, champion=champion(metrics={"auc": champions}), higher_is_better=higher_is_better)

    found = verdict({"gate": "no_worse_than_champion", "margin": margin}, inputs)

    assert found.passed is passed
    assert (found.evidence["value"], found.evidence["champion_value"]) == (0.9, champions)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"champion": champion(validation_data_version="holdout-6")}, "other validation data"),
        ({"champion": champion(validation_data_version=None)}, "champion's evidence names no"),
        ({"champion": champion(metrics={})}, "champion's evidence has no metric"),
        ({"champion": champion(), "evidence": evidence(metrics={})}, "version's evidence has no metric"),
        ({"champion": champion(), "primary_metric": None}, "no primary metric"),
    ],
)
def test_what_cannot_be_compared_does_not_pass_and_says_why(changes: dict[str, Any], words: str) -> None:
    found = verdict({"gate": "no_worse_than_champion"}, replace(INPUTS, **changes))

    assert not found.passed
    assert words in found.reason


def test_another_metric_is_compared_only_in_a_direction_that_was_given() -> None:
    inputs = replace(
        INPUTS, evidence=evidence(metrics={"surprise": 0.3}), champion=champion(metrics={"surprise": 0.31})
    )

    without = verdict({"gate": "no_worse_than_champion", "metric": "surprise"}, inputs)
    lower = verdict({"gate": "no_worse_than_champion", "metric": "surprise", "higher_is_better": False}, inputs)

    assert (without.passed, lower.passed) == (False, True)


def test_without_a_champion_there_is_nothing_to_be_worse_than() -> None:
    assert verdict({"gate": "no_worse_than_champion"}).passed


@pytest.mark.parametrize(
    ("status", "passed"), [("compliant", True), ("COMPLIANT", True), ("open", False), (None, False)]
)
def test_compliance_is_what_the_policy_allows(status: str | None, passed: bool) -> None:
    inputs = replace(INPUTS, evidence=evidence(compliance_status=status))

    assert verdict({"gate": "compliance", "allowed": ["Compliant", "waived"]}, inputs).passed is passed


@pytest.mark.parametrize(
    ("rule", "changes", "passed"),
    [
        ({}, {}, True),
        ({}, {"artifact": None}, False),
        ({}, {"format": "pickle"}, False),
        ({}, {"format": "unknown"}, False),
        ({"allow_pickle": True}, {"format": "joblib", "artifact": A_PICKLE}, True),
        ({}, {"artifact": A_PICKLE}, False),
        ({}, {"attached": {"tokenizer": A_PICKLE}}, False),
        ({}, {"attached": {"signature": A_PICKLE}}, True),
        ({"allow_pickle": True}, {"attached": {"tokenizer": A_PICKLE}}, True),
        ({"formats": ["pickle"]}, {"format": "pickle"}, False),
        ({"formats": ["safetensors"]}, {"format": "onnx"}, False),
        ({"formats": ["zip"]}, {"format": "zip"}, True),
        ({"scan_passed": True}, {}, False),
        ({"scan_passed": True}, {"checks": {"security_scan": "failed"}}, False),
        ({"scan_passed": True}, {"checks": {"security_scan": "passed"}}, True),
    ],
)
def test_security_wants_verified_bytes_of_an_allowed_format(
    rule: dict[str, Any], changes: dict[str, Any], passed: bool
) -> None:
    assert verdict({"gate": "security", **rule}, replace(INPUTS, **changes)).passed is passed


def test_readiness_names_everything_that_is_missing() -> None:
    inputs = replace(INPUTS, endpoint_health="unknown", owner=None, rollback_target=None)

    found = verdict({"gate": "operational_readiness"}, inputs)

    assert not found.passed
    assert all(word in found.reason for word in ("endpoint", "model card", "owner", "rollback"))


def test_readiness_passes_when_all_is_there_and_for_a_models_first_champion() -> None:
    ready = replace(INPUTS, model_card=ModelCard())
    first = replace(ready, rollback_target=None, had_champion=False)

    assert verdict({"gate": "operational_readiness"}, ready).passed
    assert verdict({"gate": "operational_readiness"}, first).passed


@pytest.mark.parametrize(("status", "passed"), [("approved", True), ("pending_review", False), (None, False)])
def test_a_review_is_approved_or_not(status: str | None, passed: bool) -> None:
    assert verdict({"gate": "review_approved"}, replace(INPUTS, review_status=status)).passed is passed


@pytest.mark.parametrize(("said", "passed"), [("passed", True), ("failed", False), (None, False)])
def test_tests_have_passed_when_a_service_says_so(said: str | None, passed: bool) -> None:
    checks = {} if said is None else {"tests": said}

    assert verdict({"gate": "tests_passed"}, replace(INPUTS, checks=checks)).passed is passed


@pytest.mark.parametrize(
    ("rule", "changes", "words"),
    [
        ({"gate": "compliance"}, {"evidence": evidence(compliance_status="open")}, "The compliance status is 'open'."),
        ({"gate": "compliance"}, {}, "has no compliance_status"),
        ({"gate": "tests_passed"}, {"checks": {"tests": "failed"}}, "The newest tests failed."),
        ({"gate": "tests_passed"}, {}, "No service has recorded tests"),
        ({"gate": "review_approved"}, {"review_status": "rejected"}, "The review status is rejected."),
        ({"gate": "review_approved"}, {}, "The review status is not set."),
        (
            {"gate": "security", "scan_passed": True},
            {"checks": {"security_scan": "failed"}},
            "The newest scan failed.",
        ),
        ({"gate": "security", "scan_passed": True}, {}, "No service has recorded a security_scan"),
        ({"gate": "security"}, {}, "The digest is verified"),
        ({"gate": "security"}, {"artifact": A_PICKLE}, "can run code when it is loaded: It is a pickle."),
        ({"gate": "security"}, {"artifact": IN_A_FOLDER}, "can run code when it is loaded: model/data.pkl: It is"),
        ({"gate": "security", "signed": True}, {}, "The policy names no `signature_keys` to verify with."),
    ],
)
def test_a_verdict_says_why(rule: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    assert words in verdict(rule, replace(INPUTS, **changes)).reason


def test_the_way_of_a_standard_metric_is_known() -> None:
    inputs = replace(INPUTS, evidence=evidence(metrics={"rmse": 0.3}), champion=champion(metrics={"rmse": 0.31}))

    assert verdict({"gate": "no_worse_than_champion", "metric": "rmse"}, inputs).passed
    assert not verdict({"gate": "no_worse_than_champion", "metric": "rmse", "higher_is_better": True}, inputs).passed


def test_the_evidence_of_security_says_whether_bytes_are_stored() -> None:
    assert verdict({"gate": "security"}).evidence["artifact_is_stored"] is True
    assert verdict({"gate": "security"}, replace(INPUTS, artifact=None)).evidence["artifact_is_stored"] is False


def test_the_evidence_of_readiness_is_what_was_looked_at() -> None:
    found = verdict({"gate": "operational_readiness"}, replace(INPUTS, model_card=ModelCard()))

    assert found.evidence == {
        "endpoint": "healthy",
        "model_card": True,
        "owner": "risk-team",
        "rollback_target": 1,
    }


def test_a_signed_version_passes_and_its_evidence_names_the_key() -> None:
    private = Ed25519PrivateKey.generate()
    key = SignatureKey(key_id="release", public_key=base64.b64encode(private.public_key().public_bytes_raw()).decode())
    inputs = replace(INPUTS, signature=private.sign(INPUTS.digest.encode()), signature_keys=(key,))

    found = verdict({"gate": "security", "signed": True}, inputs)

    assert found.passed
    assert found.evidence["signed_by"] == "release"
    assert not verdict({"gate": "security", "signed": True}, replace(inputs, signature=None)).passed


def test_a_verdict_is_json() -> None:
    assert verdict({"gate": "review_approved"}).document() == {
        "gate": "review_approved",
        "passed": False,
        "reason": "The review status is not set.",
        "evidence": {"review_status": None},
    }
