"""Which storage keeps the artifacts, by the settings, and where clients are sent with their parts."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from modelyard_registry.artifact_stores.choice import choose_artifact_store
from modelyard_registry.artifact_stores.disk import DiskArtifactStore
from modelyard_registry.settings import Settings
from modelyard_runtime.ids import new_uuid7
from pydantic import ValidationError

from tests.google_storage import ServiceAccount

INSIDE, OUTSIDE = "http://storage.internal:9000", "http://storage.example.com"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What signs addresses, for each storage."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", ServiceAccount().key_file)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)


def settings_of(store: str, **more: object) -> Settings:
    return Settings.model_validate(
        {
            "artifact_store": store,
            "artifact_bucket": "models",
            "artifact_region": "us-east-1",
            "state_unsigned": "allow",
            **more,
        }
    )


async def host_of_a_part(settings: Settings) -> str | None:
    async with choose_artifact_store(settings, new_id=new_uuid7) as store:
        target = await store.part_target("incoming/1#1", number=1, checksum=None)
    return None if target is None else urlsplit(target.url).hostname


@pytest.mark.parametrize("store", ["s3", "gcs", "azure"])
async def test_parts_are_sent_where_clients_reach_the_storage(store: str) -> None:
    usual = settings_of(store, artifact_endpoint=INSIDE)
    behind = settings_of(store, artifact_endpoint=INSIDE, artifact_public_endpoint=OUTSIDE)

    assert await host_of_a_part(usual) == "storage.internal"
    assert await host_of_a_part(behind) == "storage.example.com"


@pytest.mark.parametrize(
    ("store", "host"),
    [("s3", "models.s3.amazonaws.com"), ("gcs", "storage.googleapis.com"), ("azure", "account.blob.core.windows.net")],
)
async def test_without_an_endpoint_it_is_the_vendors(store: str, host: str) -> None:
    assert await host_of_a_part(settings_of(store)) == host


@pytest.mark.parametrize(
    ("store", "key"), [("gcs", "GOOGLE_SERVICE_ACCOUNT_KEY"), ("azure", "AZURE_STORAGE_ACCOUNT_KEY")]
)
async def test_without_a_key_to_sign_with_parts_come_through_the_registry(
    store: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(key)

    assert await host_of_a_part(settings_of(store, artifact_endpoint=INSIDE)) is None


async def test_parts_for_another_endpoint_of_google_come_through_the_registry() -> None:
    assert await host_of_a_part(settings_of("gcs", artifact_endpoint="https://storage.example.com")) is None


async def test_parts_for_the_disk_come_through_the_registry(tmp_path: Path) -> None:
    settings = Settings(artifact_directory=tmp_path, state_unsigned="allow")

    assert isinstance(choose_artifact_store(settings, new_id=new_uuid7), DiskArtifactStore)
    assert await host_of_a_part(settings) is None


@pytest.mark.parametrize("store", ["s3", "gcs", "azure"])
def test_a_storage_without_a_bucket_is_refused_with_the_setting_to_give(store: str) -> None:
    with pytest.raises(ValidationError, match="needs MODELYARD_ARTIFACT_BUCKET"):
        Settings.model_validate({"artifact_store": store})
