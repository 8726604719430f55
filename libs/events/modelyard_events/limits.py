"""How large a value may be that somebody outside writes: one home for every bound, by HTTP and by Kafka alike.

A bound is smaller than all that must carry the value later: a row of a PostgreSQL index (2,704 bytes), a Kafka record
(1 MiB with its headers), the type of a database column, and the numbers that readers of JSON keep exactly.
A bound in characters counts Unicode code points, of which UTF-8 writes none in more than four bytes.
"""

from datetime import UTC, datetime

INDEX_ROW_BYTES_MAX = 2_704
"""PostgreSQL refuses a larger row of a btree index; the longest key of ours must stay below it in UTF-8."""

INT32_MAX = 2**31 - 1
"""PostgreSQL's `integer`: numbers of versions, revisions in documents, basis points."""

INT64_MAX = 2**63 - 1
"""PostgreSQL's `bigint`: sizes and sequences that the registry itself counts."""

EXACT_INT_MAX = 2**53
"""Readers that keep numbers as doubles (JavaScript, RFC 8785) change larger whole numbers."""

MOMENT_MIN = datetime.min.replace(tzinfo=UTC)
"""Python has no earlier moment in UTC, and PostgreSQL's driver reckons in UTC."""

MOMENT_MAX = datetime.max.replace(tzinfo=UTC)
"""Python has no later moment in UTC."""

SLUG_CHARS_MAX = 100
"""Projects, models and the like are ASCII and part of every key, index and Kafka key."""

NAME_CHARS_MAX = 200
"""Names of metrics, tags, parameters and features: with a UUID, 800 bytes in a row of an index."""

ID_CHARS_MAX = 200
"""Identifiers of other systems, such as a run or an entity: 800 bytes of an index row or a Kafka key."""

ACTOR_CHARS_MAX = 400
"""Actors carry their origin (`project/name`, `issuer:subject`): 1,600 bytes of an index row beside a project."""

TEXT_CHARS_MAX = 5_000
"""Descriptions and values of tags: the longest text for people that a record carries beside others."""

PARAMETER_CHARS_MAX = 6_000
"""The text of one parameter of a run: as much as MLflow takes, whose runs are registered here."""

REASON_CHARS_MAX = 1_000
"""Why somebody did something: it is carried by the fact, the audit entry and the transition together."""

URL_CHARS_MAX = 2_000
"""Addresses: what common HTTP servers and proxies take in a request line."""

FREE_JSON_CHARS_MAX = 100_000
"""All texts of one free JSON object together: at most 400,000 bytes, less than half of a Kafka record."""

FREE_JSON_NODES_MAX = 5_000
"""All values of one free JSON object together, so that walking it takes milliseconds."""

FREE_JSON_DEPTH_MAX = 10
"""Levels of one free JSON object; some readers of JSON stop at 64."""

JSON_DEPTH_MAX = 64
"""Levels of any JSON that is read: far below the depth at which parsers run out of stack."""

TENSOR_RANK_MAX = 32
"""Dimensions of a tensor: what NumPy 1 and the common runtimes take."""

TENSOR_DIMENSION_MAX = INT32_MAX
"""Entries along one dimension of a tensor."""

TIMEOUT_S_MIN = 0.05
"""The shortest wait for an answer: with less, every answer of an endpoint in another building is a time-out."""

PAYLOAD_BYTES_MAX = 1_000_000
"""The value of one Kafka record; a broker takes 1 MiB by default, and key and headers need the rest."""

ERROR_SHOWN_CHARS_MAX = 100
"""How much of a refused value an error shows."""

RECORD_HEADERS_MAX = 64
"""Headers of one Kafka record: CloudEvents has a dozen, tracing and gateways add some."""

RECORD_HEADERS_BYTES_MAX = 32_768
"""Names and values of all headers together, so that a record of `PAYLOAD_BYTES_MAX` still fits the broker's limit."""

RECORD_KEY_BYTES_MAX = 3_000
"""The Kafka key and the subject: the longest is `tenant/entity_type/entity_id`, its entity in NFC."""

RECORD_BYTES_MAX = 1_048_588
"""What a Kafka broker takes by default as one batch (`message.max.bytes`), the framing included."""

EVENT_ID_BYTES_MAX = 200
"""`ce_id`, `ce_correlationid` and `ce_causationid`: they become request ids, which have 200 characters of ASCII."""

EVENT_SOURCE_BYTES_MAX = 200
"""`ce_source`: it is the source of a version and part of the actor of an unsigned event."""

EVENT_TYPE_BYTES_MAX = 200
"""`ce_type`: three times the longest type of the catalogue."""

EVENT_ACTOR_BYTES_MAX = 4 * ACTOR_CHARS_MAX
"""`ce_actor`: an actor in UTF-8."""

TRACEPARENT_BYTES_MAX = 200
"""`ce_traceparent`: 55 characters today; later versions of W3C Trace Context may append fields."""

EVENT_TIME_BYTES_MAX = 64
"""`ce_time`: a moment of RFC 3339 with nanoseconds has 35 characters."""

EVENT_SEQUENCE_DIGITS_MAX = 18
"""`ce_sequence` and `ce_generation`: every number of so many digits is a `bigint`."""

CHANGED_FIELDS_MAX = 1_000
"""Names of fields in one change of an entity: more than a table of a common database has columns."""
