"""A broker with TLS, logins and the catalogue's ACLs, for a test that asks who may do what."""

import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest
from modelyard_events.acls import PARTIES, Acl, AclOperation, Resource, acls
from modelyard_runtime.kafka_settings import KafkaSettings
from modelyard_stack.keeper import Keeper
from modelyard_stack.ports import HOST, free_ports
from modelyard_stack.secured_kafka import ADMIN, BROKER, MECHANISM, SecuredKafkaProgram
from modelyard_stack.server import KeptServer
from modelyard_stack.stack import fetch

from tests.world.certificates import Authority

STRANGER = "stranger"
TOPIC, GROUP = 2, 3
LITERAL, PREFIXED = 3, 4
ALLOW = 3
CODES = {
    AclOperation.READ: 3,
    AclOperation.WRITE: 4,
    AclOperation.CREATE: 5,
    AclOperation.DESCRIBE: 8,
    AclOperation.DESCRIBE_CONFIGS: 10,
}
"""As Kafka's protocol numbers them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecuredBroker:
    """Where the broker is, whom it trusts, and the password of each of its users."""

    bootstrap: str
    authority: Path
    passwords: Mapping[str, str]

    def login(self, user: str) -> dict[str, Any]:
        """The settings by which a service logs in as `user`."""
        return {
            "kafka_bootstrap": self.bootstrap,
            "kafka_security_protocol": "SASL_SSL",
            "kafka_sasl_mechanism": MECHANISM,
            "kafka_sasl_username": user,
            "kafka_sasl_password": self.passwords[user],
            "kafka_ssl_cafile": self.authority,
        }

    def settings(self, user: str) -> KafkaSettings:
        """The same, read as a service reads them."""
        return KafkaSettings.model_validate(self.login(user))


@asynccontextmanager
async def secured_broker(*, prefix: str) -> AsyncIterator[SecuredBroker]:
    """A broker on which the catalogue's ACLs are in force, until the block ends."""
    place = Path(tempfile.mkdtemp(prefix="modelyard-secured-"))
    authority = Authority.make(place)
    certificate = authority.issue("broker")
    bundle = place / "broker.bundle.pem"
    bundle.write_bytes(certificate.key_file.read_bytes() + certificate.file.read_bytes())
    port, controller_port = free_ports(2)
    passwords = {user: secrets.token_hex(8) for user in (BROKER, ADMIN, STRANGER, *PARTIES)}
    program = SecuredKafkaProgram(
        directory=place / "kafka",
        port=port,
        controller_port=controller_port,
        jars=fetch(),
        passwords=passwords,
        certificate=bundle,
        authority=authority.file,
    )
    async with Keeper(lock=place / "lock", remove=[place]) as keeper:
        server = KeptServer(program, keeper=keeper, log=place / "kafka.log")
        await server.start()
        try:
            broker = SecuredBroker(bootstrap=f"{HOST}:{port}", authority=authority.file, passwords=passwords)
            await _apply(acls(prefix=prefix), broker=broker)
            yield broker
        finally:
            await server.stop()


async def _apply(given: tuple[Acl, ...], *, broker: SecuredBroker) -> None:
    """What the printed commands do, by the admin protocol: a command would start a Java each."""
    admin = AIOKafkaAdminClient(**broker.settings(ADMIN).kafka.client_options())
    await admin.start()
    try:
        for acl in given:
            for operation in acl.operations:
                request = CreateAclsRequest(
                    resource_type=GROUP if acl.resource is Resource.GROUP else TOPIC,
                    resource_name=acl.name,
                    resource_pattern_type_filter=PREFIXED if acl.is_prefixed else LITERAL,
                    principal=f"User:{acl.party}",
                    host="*",
                    operation=CODES[operation],
                    permission_type=ALLOW,
                )
                response = await admin._send_request(request)
                assert [code for code, _ in response.creation_responses] == [0], (acl, response)
    finally:
        await admin.close()
