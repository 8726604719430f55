"""Every environment variable that a part of Modelyard reads, by its name behind `MODELYARD_`.

One list for all of them, because they share an environment: a service tells the others' settings from typing errors.
"""

import difflib
import re
from collections.abc import Mapping

PREFIX = "MODELYARD_"

NAMES = """
ACCESS_LOG
ACCESS_LOG_SAMPLE
ARTIFACT_BUCKET
ARTIFACT_BYTES_MAX
ARTIFACT_DIRECTORY
ARTIFACT_ENDPOINT
ARTIFACT_PUBLIC_ENDPOINT
ARTIFACT_REGION
ARTIFACT_STORE
ARTIFACT_UPLOAD_KEPT_H
BODY_BYTES_MAX
BOOTSTRAP_TOKEN_FILE
BREAKER_FAILURES_MAX
BREAKER_PAUSE_S
CACHE_HOLD_OFF_S
CACHE_PREFIX
CACHE_TIMEOUT_S
CONSUMER_GROUP
FACT_QUEUE_MAX
HOST
HTTP_ANSWER_TIMEOUT_S
HTTP_BODY_TIMEOUT_S
HTTP_CONNECTIONS_MAX
HTTP_HEADERS_MAX
HTTP_HEAD_BYTES_MAX
HTTP_HEAD_TIMEOUT_S
HTTP_IDLE_TIMEOUT_S
INGEST_PROJECTS
KAFKA_BOOTSTRAP
KAFKA_SASL_MECHANISM
KAFKA_SASL_PASSWORD
KAFKA_SASL_PASSWORD_FILE
KAFKA_SASL_USERNAME
KAFKA_SECURITY_PROTOCOL
KAFKA_SSL_CAFILE
KAFKA_SSL_CERTFILE
KAFKA_SSL_KEYFILE
LOG_FORMAT
LOG_LEVEL
OIDC_ISSUERS
OUTBOUND_ALLOW
PORT
POSTGRES_DSN
PROBE_ENDPOINTS
PURGES_PER_BATCH_MAX
REDIS_URL
SHADOW_ATTEMPTS_MAX
SHADOW_BACKOFF_INITIAL_S
SHADOW_CONCURRENCY_MAX
SHADOW_DEADLINE_S
SHADOW_FRESHNESS_S
SHADOW_LAG_MAX
SHADOW_REPLAYS_PER_S_MAX
SHADOW_TOLERANCE_ABSOLUTE
SHADOW_TOLERANCE_RELATIVE
SHUTDOWN_GRACE_S
STACK
STATE_DIRECTORY
STATE_KEYS
STATE_KEY_FILE
STATE_UNSIGNED
TOKEN
TOKENS
TOKEN_ROLES
TOPIC_PREFIX
UNIT_HASH_SECRET
VERSION_SOURCES
"""
KNOWN = frozenset(NAMES.split())

_OF_KUBERNETES = re.compile(r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
"""What Kubernetes sets in every container for a Service whose name begins with `modelyard`."""

_ADDRESS_OF_KUBERNETES = re.compile(r"(tcp|udp|sctp)://")


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that looks like a setting of ours and is none."""
    sentences = []
    for variable, value in sorted(environment.items()):
        name = variable.upper().removeprefix(PREFIX)
        if name != variable.upper() and name not in KNOWN and not _is_of_kubernetes(name, value):
            close = difflib.get_close_matches(name, KNOWN, n=1)
            meant = f"; did you mean {PREFIX}{close[0]}?" if close else "; --help lists those that are."
            sentences.append(f"{variable} is no setting{meant}")
    return sentences


def _is_of_kubernetes(name: str, value: str) -> bool:
    if _OF_KUBERNETES.fullmatch(name):
        return True
    return name.endswith("_PORT") and _ADDRESS_OF_KUBERNETES.match(value) is not None
