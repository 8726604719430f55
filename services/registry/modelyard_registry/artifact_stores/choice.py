"""Which storage keeps the artifacts, by the settings."""

from typing import TypeAlias

from modelyard_runtime.ids import NewId

from modelyard_registry.artifact_stores.cloud import (
    CloudArtifactStore,
    azure_container,
    azure_signer,
    google_bucket,
    google_signer,
)
from modelyard_registry.artifact_stores.disk import DiskArtifactStore
from modelyard_registry.artifact_stores.s3 import S3ArtifactStore, S3Settings
from modelyard_registry.settings import Settings

OpenableStore: TypeAlias = DiskArtifactStore | S3ArtifactStore | CloudArtifactStore


def choose_artifact_store(settings: Settings, *, new_id: NewId) -> OpenableStore:
    """The store that `artifact_store` names; the settings have been checked for a bucket."""
    bucket, endpoint = settings.artifact_bucket or "", settings.artifact_endpoint
    public_endpoint = settings.artifact_public_endpoint or endpoint
    match settings.artifact_store:
        case "disk":
            return DiskArtifactStore(settings.artifact_directory, new_id=new_id)
        case "s3":
            s3 = S3Settings(
                bucket=bucket,
                endpoint=endpoint,
                public_endpoint=settings.artifact_public_endpoint,
                region=settings.artifact_region,
            )
            return S3ArtifactStore(s3, new_id=new_id)
        case "gcs":
            signer = google_signer(bucket, endpoint=public_endpoint)
            return CloudArtifactStore(google_bucket(bucket, endpoint=endpoint), signer=signer, new_id=new_id)
        case "azure":
            signer = azure_signer(bucket, endpoint=public_endpoint)
            return CloudArtifactStore(azure_container(bucket, endpoint=endpoint), signer=signer, new_id=new_id)
