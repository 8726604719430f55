"""Artifacts as callers see them."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from modelyard_registry.artifacts.records import ArtifactKind, ArtifactRecord


class PartDocument(BaseModel):
    """A part of an artifact that can run code when it is loaded; `path` is empty for the artifact itself."""

    path: str
    why: str


class ArtifactDocument(BaseModel):
    """An artifact that was uploaded to a project. `artifact_bytes` of a folder are those of all its files."""

    project: str
    digest: str
    kind: ArtifactKind
    artifact_uri: str
    artifact_bytes: int
    format: str
    formats: list[str] = Field(description="The formats of all its parts: files of a folder, entries of an archive.")
    pickle: bool = Field(description="A part of it is a pickle, or may be one: pickles run code of whoever made them.")
    executes_code: bool = Field(description="Loading it can run code of whoever made it, or that cannot be excluded.")
    findings: list[PartDocument] = Field(description="Which parts can run code, and why: the first 20.")
    created_at: datetime
    created_by: str

    @classmethod
    def of(cls, artifact: ArtifactRecord) -> Self:
        """The document about `artifact`."""
        inspection = artifact.judged
        return cls(
            project=artifact.project,
            digest=artifact.digest,
            kind=artifact.kind,
            artifact_uri=uri_of(artifact.project, artifact.digest),
            artifact_bytes=artifact.size_bytes,
            format=artifact.format,
            formats=sorted(inspection.formats),
            pickle=artifact.pickle,
            executes_code=inspection.executes_code,
            findings=[PartDocument(path=each.path, why=each.why) for each in inspection.findings],
            created_at=artifact.created_at,
            created_by=artifact.created_by,
        )


def uri_of(project: str, digest: str) -> str:
    """Where an artifact is downloaded."""
    return f"/api/v1/projects/{project}/artifacts/{digest}"
