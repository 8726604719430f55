"""How a service reaches Kafka, and as whom: one value for every producer, consumer, admin client and broker."""

import ssl
from dataclasses import dataclass, field
from typing import Any, Literal

from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

_SASL: dict[str, type[SASLPlaintext | SASLScram256 | SASLScram512]] = {
    "PLAIN": SASLPlaintext,
    "SCRAM-SHA-256": SASLScram256,
    "SCRAM-SHA-512": SASLScram512,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SaslLogin:
    """A user of the broker and the password that proves it."""

    mechanism: SaslMechanism
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaConnection:
    """The broker's address, and what proves each side to the other: `tls` for the broker, `sasl` for this service."""

    bootstrap: str
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    sasl: SaslLogin | None = None

    @property
    def security_protocol(self) -> SecurityProtocol:
        """What Kafka calls this combination."""
        if self.sasl is None:
            return "PLAINTEXT" if self.tls is None else "SSL"
        return "SASL_PLAINTEXT" if self.tls is None else "SASL_SSL"

    def client_options(self) -> dict[str, Any]:
        """The arguments that every client of aiokafka takes."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": self.security_protocol,
            "ssl_context": self.tls,
        }
        if self.sasl is not None:
            options |= {
                "sasl_mechanism": self.sasl.mechanism,
                "sasl_plain_username": self.sasl.username,
                "sasl_plain_password": self.sasl.password,
            }
        return options

    def broker_security(self) -> BaseSecurity:
        """The same for a FastStream broker."""
        if self.sasl is None:
            return BaseSecurity(ssl_context=self.tls)
        return _SASL[self.sasl.mechanism](self.sasl.username, self.sasl.password, ssl_context=self.tls)
