"""Fixtures that every test may use: real servers, started once per session, only if a test asks for them."""

from tests.object_servers import (
    azure_endpoint,
    azure_server,
    gcs_account,
    gcs_emulator,
    gcs_endpoint,
    gcs_server,
    s3_endpoint,
    s3_server,
)
from tests.stack_fixtures import (
    own_stack,
    postgres_database,
    redis_url,
    refuse_servers_in_unit_tests,
    stack,
    topic_prefix,
)

__all__ = [
    "azure_endpoint",
    "azure_server",
    "gcs_account",
    "gcs_emulator",
    "gcs_endpoint",
    "gcs_server",
    "own_stack",
    "postgres_database",
    "redis_url",
    "refuse_servers_in_unit_tests",
    "s3_endpoint",
    "s3_server",
    "stack",
    "topic_prefix",
]
