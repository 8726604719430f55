"""Artifacts as callers see them."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from modelyard_registry.artifacts.records import ArtifactRecord, Kind


class ArtifactDocument(BaseModel):
    """An artifact that was uploaded to a project. `artifact_bytes` of a folder are those of all its files."""

    project: str
    digest: str
    kind: Kind
    artifact_uri: str
    artifact_bytes: int
    format: str
    pickle: bool = Field(description="Loading it can run code of whoever made it: it is a pickle, or holds one.")
    created_at: datetime
    created_by: str

    @classmethod
    def of(cls, artifact: ArtifactRecord) -> Self:
        """The document about `artifact`."""
        return cls(
            project=artifact.project,
            digest=artifact.digest,
            kind=artifact.kind,
            artifact_uri=uri_of(artifact.project, artifact.digest),
            artifact_bytes=artifact.size_bytes,
            format=artifact.format,
            pickle=artifact.pickle,
            created_at=artifact.created_at,
            created_by=artifact.created_by,
        )


def uri_of(project: str, digest: str) -> str:
    """Where an artifact is downloaded."""
    return f"/api/v1/projects/{project}/artifacts/{digest}"
