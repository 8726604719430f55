"""Keys that sign state documents: made, read and told apart; whatever is none is refused by name."""

import base64
import subprocess
from pathlib import Path

import pytest
from modelyard_cache_invalidator.settings import Settings as InvalidatorSettings
from modelyard_events.codec import Record
from modelyard_registry.settings import Settings as RegistrySettings
from modelyard_registry.state_key import main
from modelyard_router.settings import Settings as RouterSettings
from modelyard_runtime.state.keys import StateKeyError, StateKeys, make_key_file, read_key_file
from pydantic import ValidationError

RECORD = Record(key=b"k", value=b"{}", headers=(("ce_id", b"1"), ("other", b"x")))


def test_what_a_key_file_signs_its_public_key_proves(tmp_path: Path) -> None:
    file = tmp_path / "state-key.pem"
    made = make_key_file(file)

    signer = read_key_file(file)

    assert signer.public_key == made.public_key
    assert StateKeys([signer.public_key]).why_refused(signer.sign(RECORD)) is None
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_key_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    file = tmp_path / "state-key.pem"
    make_key_file(file)

    with pytest.raises(StateKeyError, match="File exists"):
        make_key_file(file)


def test_the_command_line_shows_what_readers_need(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "state-key.pem"
    assert main(["make", str(file)]) == 0
    made = capsys.readouterr().out

    assert main(["show", str(file)]) == 0
    assert capsys.readouterr().out == made
    assert RouterSettings(state_keys=(made.strip(),)).trusted_state_keys is not None
    assert main(["make", str(file)]) == 1
    assert "cannot make the key file" in capsys.readouterr().err


def test_a_key_that_openssl_made_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "state-key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(file)], check=True, capture_output=True)

    assert len(read_key_file(file).public_key) == 44


@pytest.mark.parametrize(
    "content", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_without_a_key_is_refused_with_the_command_that_makes_one(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "state-key.pem"
    file.write_bytes(content)

    with pytest.raises(StateKeyError, match=r"modelyard_registry\.state_key make"):
        read_key_file(file)


@pytest.mark.parametrize("key", ["", "x", "AAAA", "é" * 44, "A" * 43, " " + "A" * 43 + "="])
def test_what_is_no_public_key_is_refused(key: str) -> None:
    with pytest.raises(ValidationError, match="is not an Ed25519 public key"):
        RouterSettings(state_keys=(key,))


@pytest.mark.parametrize("settings", [RouterSettings, InvalidatorSettings])
@pytest.mark.parametrize("y", [0, 1, 2**255 - 20, 2**255 - 19])
def test_a_public_key_that_fits_signatures_anyone_can_make_is_refused_at_the_start(
    settings: type[RouterSettings] | type[InvalidatorSettings], y: int
) -> None:
    with pytest.raises(ValidationError, match="a point of small order: anyone can make signatures"):
        settings(state_keys=(base64.b64encode(y.to_bytes(32, "little")).decode(),))


@pytest.mark.parametrize("settings", [RouterSettings, InvalidatorSettings])
def test_a_reader_without_keys_does_not_start_unless_it_is_told_to_believe_everything(
    settings: type[RouterSettings] | type[InvalidatorSettings], tmp_path: Path
) -> None:
    with pytest.raises(ValidationError, match="MODELYARD_STATE_KEYS is not set"):
        settings()
    with pytest.raises(ValidationError, match="contradict each other"):
        settings(state_unsigned="allow", state_keys=(make_key_file(tmp_path / "key").public_key,))
    assert settings(state_unsigned="allow").trusted_state_keys is None


def test_a_registry_without_a_key_does_not_start_unless_it_is_told_to() -> None:
    with pytest.raises(ValidationError, match="MODELYARD_STATE_KEY_FILE is not set"):
        RegistrySettings()
    assert RegistrySettings(state_unsigned="allow").state_key_file is None
