"""Make a broker refuse what it took before, as an operator's setting does."""

import asyncio

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

APPLIED_AFTER_S = 1.0
"""The broker answers before its log has the new setting, and nothing tells when it has."""


async def take_at_most(bytes_max: int, *, bootstrap: str, topic_name: str) -> None:
    """Let the broker take batches of at most so many bytes on a topic; its other settings become the broker's own."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        configs = {"max.message.bytes": str(bytes_max)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic_name, configs=configs)])
    finally:
        await admin.close()
    await asyncio.sleep(APPLIED_AFTER_S)
