"""A Kafka that lets nobody in without TLS and a login, and asks its access lists about everything.

Services log in by SCRAM; the broker and its controller, which are one process, log in to each other by PLAIN. Nothing
is allowed that no ACL allows, except to the users in `SUPER_USERS`, who write the ACLs.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelyard_stack.kafka import KafkaProgram
from modelyard_stack.ports import HOST

MECHANISM = "SCRAM-SHA-512"
BROKER = "broker"
ADMIN = "admin"
SUPER_USERS = (BROKER, ADMIN)
PLAIN_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule"


class SecuredKafkaProgram(KafkaProgram):
    """A broker and controller behind TLS, SASL and ACLs.

    `passwords` are those of its users: `broker` and `admin`, who may do everything, and whoever else there is.
    `certificate` holds the broker's key and certificate, `authority` the certificate of who issued it, both in PEM.
    """

    def __init__(
        self,
        *,
        directory: Path,
        port: int,
        controller_port: int,
        jars: Sequence[Path],
        passwords: Mapping[str, str],
        certificate: Path,
        authority: Path,
    ) -> None:
        super().__init__(
            directory=directory,
            port=port,
            controller_port=controller_port,
            jars=jars,
            # Its users are written into the log directory: this one is no other's.
            formatted=directory / "formatted",
            keeps_data=False,
        )
        self._passwords = passwords
        self._certificate = certificate
        self._authority = authority

    async def probe(self) -> None:
        """The broker opens its port when it has joined the controller; who needs more asks it as `admin`."""
        context = ssl.create_default_context(cafile=self._authority)
        _, writer = await asyncio.open_connection(HOST, self._port, ssl=context)
        writer.close()

    def _users(self) -> Sequence[str]:
        return [
            argument
            for name, password in self._passwords.items()
            for argument in ("--add-scram", f"{MECHANISM}=[name={name},password={password}]")
        ]

    def _listeners(self) -> dict[str, str]:
        login = f'username="{BROKER}" password="{self._passwords[BROKER]}"'
        plain = f'{PLAIN_LOGIN} required {login} user_{BROKER}="{self._passwords[BROKER]}";'
        return {
            "listeners": f"SASL_SSL://{HOST}:{self._port},CONTROLLER://{HOST}:{self._controller_port}",
            "advertised.listeners": f"SASL_SSL://{HOST}:{self._port}",
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,CONTROLLER:SASL_SSL",
            "inter.broker.listener.name": "SASL_SSL",
            "controller.quorum.voters": f"1@{HOST}:{self._controller_port}",
            "sasl.enabled.mechanisms": f"PLAIN,{MECHANISM}",
            "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "sasl.mechanism.controller.protocol": "PLAIN",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": plain,
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{SCRAM_LOGIN} required;",
            "listener.name.controller.plain.sasl.jaas.config": plain,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._certificate),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self._authority),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": ";".join(f"User:{each}" for each in SUPER_USERS),
            "allow.everyone.if.no.acl.found": "false",
        }
