"""Nothing starts with a setting that is misspelt or wrong; each is told in one line, by the variable's name."""

import importlib
import re
from pathlib import Path

import pytest
from modelyard_runtime.command_line import settings_help, settings_of
from modelyard_runtime.settings import ServiceSettings
from modelyard_runtime.variables import KNOWN, PREFIX, unknown_variables

ROOT = Path(__file__).parents[3]
SERVICES = ("registry", "router", "shadow_worker", "cache_invalidator")
SETTINGS = {name: importlib.import_module(f"modelyard_{name}.settings").Settings for name in SERVICES}
ELSEWHERE = (ROOT / "libs" / "stack" / "modelyard_stack", ROOT / "examples" / "modelyard_examples")


def refused(kind: type[ServiceSettings], capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    with pytest.raises(SystemExit) as stop:
        settings_of(kind, service="registry", arguments=arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KNOWN:
        monkeypatch.delenv(PREFIX + name, raising=False)


def test_the_list_of_variables_is_what_the_parts_read() -> None:
    of_services = {name.upper() for kind in SETTINGS.values() for name in kind.model_fields}
    elsewhere = {
        name
        for place in ELSEWHERE
        for file in place.rglob("*.py")
        for name in re.findall(r"MODELYARD_([A-Z][A-Z_]*[A-Z])\b", file.read_text())
    }

    assert of_services | elsewhere == KNOWN


def test_a_misspelt_setting_is_refused_with_the_nearest_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODELYARD_LOG_LEVL", "debug")

    assert refused(ServiceSettings, capsys)[1:] == [
        "  MODELYARD_LOG_LEVL is no setting; did you mean MODELYARD_LOG_LEVEL?"
    ]


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("MODELYARD_PORT", "abc", ["integer", "'abc' came"]),
        ("MODELYARD_PORT", "70000", ["65535", "'70000' came"]),
        ("MODELYARD_PORT", "tcp://10.0.0.1:80", ["enableServiceLinks"]),
        ("MODELYARD_LOG_LEVEL", "loud", ["'debug', 'info'", "'loud' came"]),
        ("MODELYARD_HTTP_HEADERS_MAX", "x" * 1_000, ["integer"]),
        ("MODELYARD_OUTBOUND_ALLOW", "10.0.0.0/8", ["JSON", "'10.0.0.0/8' came"]),
        ("MODELYARD_TOKENS", '{"ada": 5, "s3cret"', ["JSON", "not shown"]),
        ("MODELYARD_TOKENS", '{"ada": {"s3cret": 1}}', ["(ada)", "not shown"]),
    ],
)
def test_a_wrong_setting_is_told_in_a_line_with_what_came_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, words: list[str]
) -> None:
    monkeypatch.setenv(variable, value)

    (_, line) = refused(ServiceSettings, capsys)

    assert line.startswith(f"  {variable}")
    assert all(word in line for word in words), line
    assert "s3cret" not in line
    assert len(line) < 400


def test_every_wrong_setting_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODELYARD_PORT", "abc")
    monkeypatch.setenv("MODELYARD_ACCESS_LOG_SAMPLE", "2")
    monkeypatch.setenv("MODELYARD_HOTS", "x")

    assert [line.split()[0].strip(":") for line in refused(ServiceSettings, capsys)[1:]] == [
        "MODELYARD_HOTS",
        "MODELYARD_PORT",
        "MODELYARD_ACCESS_LOG_SAMPLE",
    ]


def test_what_kubernetes_sets_for_a_service_of_that_name_is_no_typing_error() -> None:
    assert unknown_variables(
        {
            "MODELYARD_REGISTRY_SERVICE_HOST": "10.0.0.1",
            "MODELYARD_REGISTRY_SERVICE_PORT_HTTP": "8080",
            "MODELYARD_REGISTRY_PORT": "tcp://10.0.0.1:8080",
            "MODELYARD_REGISTRY_PORT_8080_TCP_ADDR": "10.0.0.1",
        }
    ) == []  # fmt: skip
    assert unknown_variables({"MODELYARD_REGISTRY_PORT": "8080"}) != []


def test_an_unknown_argument_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unrecognized arguments: --prot 8080" in refused(ServiceSettings, capsys, "--prot", "8080")[-1]


@pytest.mark.parametrize("service", SERVICES)
def test_help_lists_every_setting_with_its_default_and_starts_nothing(
    service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        settings_of(SETTINGS[service], service=service, arguments=["--help"])

    told = capsys.readouterr().out
    assert stop.value.code == 0
    for name in SETTINGS[service].model_fields:
        assert re.search(rf"^  {PREFIX}{name.upper()} = \S", told, re.MULTILINE), name


def test_help_says_what_settings_mean() -> None:
    assert "MODELYARD_OUTBOUND_ALLOW are the networks" in " ".join(settings_help(ServiceSettings).split())


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        settings_of(ServiceSettings, service="registry", arguments=["--version"])

    assert re.fullmatch(r"\d+\.\d+\.\d+\n", capsys.readouterr().out)
