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

MOMENT_MIN = datetime(1, 1, 2, tzinfo=UTC)
"""A day after the first moment of Python, so that the moment exists in every time zone."""

MOMENT_MAX = datetime(9999, 12, 30, 23, 59, 59, tzinfo=UTC)
"""A day before the last moment of Python, so that the moment exists in every time zone."""

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

PAYLOAD_BYTES_MAX = 1_000_000
"""The value of one Kafka record; a broker takes 1 MiB by default, and key and headers need the rest."""

ERROR_SHOWN_CHARS_MAX = 100
"""How much of a refused value an error shows."""
