"""The settings by which a service reaches Kafka. Combinations that would not protect what they seem to are refused."""

import ssl
from pathlib import Path
from typing import Self

from pydantic import SecretStr, model_validator
from pydantic_settings import BaseSettings

from modelyard_runtime.kafka_connection import KafkaConnection, SaslLogin, SaslMechanism, SecurityProtocol

SASL_SETTINGS = ("kafka_sasl_mechanism", "kafka_sasl_username", "kafka_sasl_password", "kafka_sasl_password_file")
TLS_SETTINGS = ("kafka_ssl_cafile", "kafka_ssl_certfile", "kafka_ssl_keyfile")


class KafkaSettings(BaseSettings):
    """How Kafka is reached.

    With `kafka_security_protocol` `SSL` or `SASL_SSL` the broker's certificate is checked, by `kafka_ssl_cafile` or
    else by the machine's own authorities, and its name always; `kafka_ssl_certfile` and `kafka_ssl_keyfile` (PEM) are
    this service's own certificate. With `SASL_SSL` or `SASL_PLAINTEXT` it logs in as `kafka_sasl_username` by
    `kafka_sasl_mechanism` (`PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`); `kafka_sasl_password_file` names a file
    instead of the password.
    """

    kafka_bootstrap: str = "127.0.0.1:9092"
    kafka_security_protocol: SecurityProtocol = "PLAINTEXT"
    kafka_sasl_mechanism: SaslMechanism | None = None
    kafka_sasl_username: str = ""
    kafka_sasl_password: SecretStr = SecretStr("")
    kafka_sasl_password_file: Path | None = None
    kafka_ssl_cafile: Path | None = None
    kafka_ssl_certfile: Path | None = None
    kafka_ssl_keyfile: Path | None = None

    @model_validator(mode="after")
    def _refuse_what_does_not_fit_together(self) -> Self:
        self._refuse_useless_settings()
        if self._uses_sasl:
            self._refuse_incomplete_login()
        if self.kafka_ssl_keyfile is not None and self.kafka_ssl_certfile is None:
            raise ValueError(
                "MODELYARD_KAFKA_SSL_KEYFILE needs MODELYARD_KAFKA_SSL_CERTFILE, the certificate of that key"
            )
        _ = self.kafka  # Files that cannot be read are told now, not at the first connection.
        return self

    @property
    def kafka(self) -> KafkaConnection:
        """What these settings say, for every client."""
        return KafkaConnection(
            bootstrap=self.kafka_bootstrap,
            tls=self._tls_context() if self._uses_tls else None,
            sasl=self._login() if self._uses_sasl else None,
        )

    @property
    def _uses_sasl(self) -> bool:
        return self.kafka_security_protocol.startswith("SASL_")

    @property
    def _uses_tls(self) -> bool:
        return self.kafka_security_protocol.endswith("SSL")

    def _refuse_useless_settings(self) -> None:
        """A password or a certificate that is set and not used would look like protection, and be none."""
        useless = [
            *(SASL_SETTINGS if not self._uses_sasl else ()),
            *(TLS_SETTINGS if not self._uses_tls else ()),
        ]
        given = [_variable(each) for each in useless if getattr(self, each)]
        if given:
            raise ValueError(
                f"{', '.join(given)} would not be used with MODELYARD_KAFKA_SECURITY_PROTOCOL="
                f"{self.kafka_security_protocol}: set the protocol to SASL_SSL (login and TLS), SSL (TLS) or "
                "SASL_PLAINTEXT (login), or remove them"
            )

    def _refuse_incomplete_login(self) -> None:
        has_password = bool(self.kafka_sasl_password.get_secret_value())
        if has_password and self.kafka_sasl_password_file is not None:
            raise ValueError(
                "MODELYARD_KAFKA_SASL_PASSWORD and MODELYARD_KAFKA_SASL_PASSWORD_FILE are both set: remove one"
            )
        missing = [_variable(each) for each in SASL_SETTINGS[:2] if not getattr(self, each)]
        if not has_password and self.kafka_sasl_password_file is None:
            missing.append(f"{_variable('kafka_sasl_password')} (or …_FILE)")
        if missing:
            raise ValueError(
                f"MODELYARD_KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol} needs {', '.join(missing)} as well"
            )

    def _login(self) -> SaslLogin:
        assert self.kafka_sasl_mechanism is not None
        return SaslLogin(
            mechanism=self.kafka_sasl_mechanism, username=self.kafka_sasl_username, password=self._password()
        )

    def _password(self) -> str:
        file = self.kafka_sasl_password_file
        if file is None:
            return self.kafka_sasl_password.get_secret_value()
        try:
            password = file.read_text(encoding="utf-8").strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"MODELYARD_KAFKA_SASL_PASSWORD_FILE: cannot read {file}: {error}") from error
        if not password:
            raise ValueError(f"MODELYARD_KAFKA_SASL_PASSWORD_FILE: {file} is empty")
        return password

    def _tls_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.kafka_ssl_cafile)
        except (OSError, ssl.SSLError) as error:
            raise ValueError(
                f"MODELYARD_KAFKA_SSL_CAFILE: {self.kafka_ssl_cafile} holds no certificates in PEM: {error}"
            ) from error
        if self.kafka_ssl_certfile is not None:
            try:
                # Asked for a password, OpenSSL would wait at the terminal.
                context.load_cert_chain(self.kafka_ssl_certfile, self.kafka_ssl_keyfile, password="")
            except (OSError, ssl.SSLError) as error:
                raise ValueError(
                    f"MODELYARD_KAFKA_SSL_CERTFILE and MODELYARD_KAFKA_SSL_KEYFILE: {self.kafka_ssl_certfile} and "
                    f"{self.kafka_ssl_keyfile} are no certificate and its key in PEM without a password: {error}"
                ) from error
        return context


def _variable(name: str) -> str:
    return f"MODELYARD_{name.upper()}"
