"""The registry's settings, read once from the environment (`MODELYARD_…`) in `__main__`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from modelyard_runtime.settings import IngestSettings
from modelyard_runtime.state_settings import Unsigned
from pydantic import Field, model_validator


class Settings(IngestSettings):
    """What the registry needs besides what every service needs.

    `artifact_store` other than `disk` keeps artifacts in `artifact_bucket` (Azure's container), which is there
    already; credentials come from the usual environment of that storage. `artifact_endpoint` is for storage
    that is not the vendor's own, `artifact_public_endpoint` how clients reach it when that differs.

    When the registry starts and nobody could manage access, an admin's token for one week is written to
    `bootstrap_token_file`, for its owner only.

    With `probe_endpoints` an endpoint must answer before its version moves to canary or production, or a rollback or
    another endpoint sends traffic there, unless a policy waives it.

    `state_key_file` holds the private key that signs routing and access documents, the same one for all registries of
    a system. Without it the registry does not start, unless `state_unsigned` is `allow`: then documents are not signed.
    """

    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    postgres_dsn: str = "postgresql://modelyard:modelyard@127.0.0.1:5432/modelyard"
    artifact_directory: Path = Path("artifacts")
    artifact_bytes_max: Annotated[int, Field(gt=0)] = 20 * 1024**3
    artifact_store: Literal["disk", "s3", "gcs", "azure"] = "disk"
    artifact_bucket: str | None = None
    artifact_endpoint: str | None = None
    artifact_public_endpoint: str | None = None
    artifact_region: str | None = None
    bootstrap_token_file: Path = Path("bootstrap-admin-token")
    artifact_upload_kept_h: Annotated[float, Field(ge=1)] = 24.0
    probe_endpoints: bool = True
    state_key_file: Path | None = None
    state_unsigned: Unsigned = "refuse"

    @model_validator(mode="after")
    def _refuse_storage_without_bucket(self) -> Self:
        if self.artifact_store != "disk" and not self.artifact_bucket:
            raise ValueError(f"MODELYARD_ARTIFACT_STORE={self.artifact_store} needs MODELYARD_ARTIFACT_BUCKET as well")
        return self

    @model_validator(mode="after")
    def _refuse_to_leave_unsigned_by_accident(self) -> Self:
        if self.state_key_file is None and self.state_unsigned == "refuse":
            raise ValueError(
                "MODELYARD_STATE_KEY_FILE is not set, so nobody could tell this registry's documents from forged ones: "
                "make a key with `python -m modelyard_registry.state_key make FILE` and name its file, or set "
                "MODELYARD_STATE_UNSIGNED=allow"
            )
        return self
