"""The registry's settings, read once from the environment (`MODELYARD_…`) in `__main__`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from modelyard_runtime.settings import IngestSettings
from pydantic import Field, model_validator


class Settings(IngestSettings):
    """What the registry needs besides what every service needs.

    `artifact_store` other than `disk` keeps artifacts in `artifact_bucket` (Azure's container), which is there
    already; credentials come from the usual environment of that storage. `artifact_endpoint` is for storage
    that is not the vendor's own, `artifact_public_endpoint` how clients reach it when that differs.

    When the registry starts and nobody could manage access, an admin's token for one week is written to
    `bootstrap_token_file`, for its owner only.
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

    @model_validator(mode="after")
    def _refuse_storage_without_bucket(self) -> Self:
        if self.artifact_store != "disk" and not self.artifact_bucket:
            raise ValueError(f"MODELYARD_ARTIFACT_STORE={self.artifact_store} needs MODELYARD_ARTIFACT_BUCKET as well")
        return self
