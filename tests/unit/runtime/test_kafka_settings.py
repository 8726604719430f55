"""Settings for Kafka that would not protect what they seem to are refused, by the names of the variables to change."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from faststream.kafka.security import parse_security
from modelyard_runtime.kafka_settings import KafkaSettings
from pydantic import ValidationError

from tests.world.certificates import Authority

LOGIN = {
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_mechanism": "SCRAM-SHA-512",
    "kafka_sasl_username": "registry",
    "kafka_sasl_password": "s3cret",
}


def settings(**given: Any) -> KafkaSettings:
    return KafkaSettings.model_validate({"kafka_bootstrap": "kafka.example:9093", **given})


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"kafka_sasl_password": "s3cret"}, "MODELYARD_KAFKA_SASL_PASSWORD would not be used"),
        ({**LOGIN, "kafka_security_protocol": "PLAINTEXT"}, "MODELYARD_KAFKA_SASL_MECHANISM, MODELYARD_KAFKA_SASL_USE"),
        ({**LOGIN, "kafka_security_protocol": "SSL"}, "would not be used with MODELYARD_KAFKA_SECURITY_PROTOCOL=SSL"),
        ({"kafka_ssl_cafile": "ca.pem"}, "MODELYARD_KAFKA_SSL_CAFILE would not be used"),
        (
            {**LOGIN, "kafka_security_protocol": "SASL_PLAINTEXT", "kafka_ssl_cafile": "ca.pem"},
            "MODELYARD_KAFKA_SSL_CAFILE would not be used",
        ),
        ({"kafka_security_protocol": "SASL_SSL"}, "MODELYARD_KAFKA_SASL_PASSWORD .or …_FILE. as well"),
        ({**LOGIN, "kafka_sasl_mechanism": None}, "needs MODELYARD_KAFKA_SASL_MECHANISM as well"),
        ({**LOGIN, "kafka_sasl_username": ""}, "needs MODELYARD_KAFKA_SASL_USERNAME as well"),
        ({**LOGIN, "kafka_sasl_password_file": "file"}, "are both set"),
        ({"kafka_security_protocol": "SSL", "kafka_ssl_keyfile": "key.pem"}, "needs MODELYARD_KAFKA_SSL_CERTFILE"),
        ({"kafka_security_protocol": "SSL", "kafka_ssl_cafile": "/nowhere/ca.pem"}, "/nowhere/ca.pem holds no cert"),
        ({"kafka_security_protocol": "SSL", "kafka_ssl_certfile": "/nowhere/c.pem"}, "/nowhere/c.pem and None are no"),
        ({**LOGIN, "kafka_sasl_password": "", "kafka_sasl_password_file": "/nowhere/p"}, "cannot read /nowhere/p"),
        ({"kafka_security_protocol": "ssl"}, "kafka_security_protocol"),
        ({**LOGIN, "kafka_sasl_mechanism": "GSSAPI"}, "kafka_sasl_mechanism"),
    ],
)
def test_a_combination_that_makes_no_sense_is_refused_by_name(given: dict[str, Any], names: str) -> None:
    with pytest.raises(ValidationError, match=names):
        settings(**given)


def test_every_client_gets_the_login_and_checks_the_broker(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    kafka = settings(**LOGIN, kafka_ssl_cafile=authority.file).kafka

    options = kafka.client_options()

    assert options.pop("ssl_context").verify_mode is ssl.CERT_REQUIRED
    assert options == {
        "bootstrap_servers": "kafka.example:9093",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "registry",
        "sasl_plain_password": "s3cret",
    }
    assert kafka.tls is not None
    assert kafka.tls.check_hostname


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT"])
def test_subscriptions_log_in_as_every_other_client_does(mechanism: str, protocol: str) -> None:
    kafka = settings(**{**LOGIN, "kafka_sasl_mechanism": mechanism, "kafka_security_protocol": protocol}).kafka

    options = kafka.client_options()
    del options["bootstrap_servers"]

    assert parse_security(kafka.broker_security()) == options


@pytest.mark.parametrize("protocol", ["SSL", "PLAINTEXT"])
def test_without_a_login_subscriptions_connect_as_every_other_client_does(protocol: str) -> None:
    kafka = settings(kafka_security_protocol=protocol).kafka

    assert parse_security(kafka.broker_security()) == {"security_protocol": protocol, "ssl_context": kafka.tls}
    assert (kafka.tls is None) is (protocol == "PLAINTEXT")


def test_a_password_comes_from_a_file_without_its_line_end_and_is_shown_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret \n")
    given = settings(**{**LOGIN, "kafka_sasl_password": "", "kafka_sasl_password_file": file})

    assert given.kafka.sasl is not None
    assert given.kafka.sasl.password == "s3cret "
    assert "s3cret" not in repr(given.kafka)
    assert "s3cret" not in repr(settings(**LOGIN))


def test_a_services_own_certificate_is_loaded_with_its_key(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    certificate = authority.issue("router")
    protocol = {"kafka_security_protocol": "SSL", "kafka_ssl_cafile": authority.file}

    assert (
        settings(
            **protocol, kafka_ssl_certfile=certificate.file, kafka_ssl_keyfile=certificate.key_file
        ).kafka.security_protocol
        == "SSL"
    )
    with pytest.raises(ValidationError, match="are no certificate and its key"):
        settings(**protocol, kafka_ssl_certfile=certificate.file, kafka_ssl_keyfile=authority.key_file)
