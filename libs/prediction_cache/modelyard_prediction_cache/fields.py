"""What makes two predictions the same: names of the fields that hold them.

A field is a short digest of everything that decides the value, each part with its length before it, so
that no choice of names can make two different predictions share a field, and short enough for Redis to
keep an entity's hash in its compact form.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any

from modelyard_events.tensors import TensorError, elements_of
from modelyard_events.values import Datatype, Tensor

_DIGEST_CHARACTERS = 40
"""160 bits: even somebody who picks the inputs cannot make two collide."""

_FORMATS: dict[Datatype, str] = {
    "BOOL": "B",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}


def prediction_field(
    *,
    project: str,
    version_id: str,
    digest: str,
    endpoint_revision: int,
    output_policy: str = "",
    source_revision: int | None = None,
    inputs_hash: str,
) -> str:
    """The field of one prediction.

    `version_id` is the version's unique id (numbers are per model), `digest` its artifact's.
    `output_policy` names what is done to the outputs before they are cached. `inputs_hash` covers the
    inputs that came with the request; `source_revision` names the feature source that the others are
    read from, if any are.
    """
    parts = (
        project, version_id, digest, str(endpoint_revision), output_policy, str(source_revision), inputs_hash,
    )  # fmt: skip
    return f"p{_digest(parts)}"


def features_field(*, project: str, model_type: str, source_revision: int) -> str:
    """The field of an entity's features, as one revision of a model type's feature source tells them."""
    return f"f{_digest((project, model_type, str(source_revision)))}"


def inputs_hash(tensors: Iterable[Tensor]) -> str:
    """One name for equal inputs: SHA-256, because callers choose the inputs and must not choose collisions.

    Equal are the same tensors in any order, with flat or nested data, and with numbers that their
    datatype cannot tell apart (5 and 5.0; 0.1 and its nearest FP32 in an FP32 tensor). Parameters of a tensor
    count as written. Never raises: values that do not fit their datatype are hashed as they are written.
    """
    hashed = sha256()
    for tensor in sorted(tensors, key=lambda each: each.name):
        shape = ",".join(map(str, tensor.shape))
        for part in (tensor.name.encode(), tensor.datatype.encode(), shape.encode(), _content(tensor)):
            hashed.update(b"%d:" % len(part))
            hashed.update(part)
    return hashed.hexdigest()


def _digest(parts: Iterable[str]) -> str:
    named = "".join(f"{len(part)}:{part}" for part in parts)
    return sha256(named.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_CHARACTERS]


def _content(tensor: Tensor) -> bytes:
    content = _elements(tensor)
    if not tensor.parameters:
        return content
    parameters = b"".join(_text(name) + _text(value) for name, value in sorted(tensor.parameters.items()))
    return b"p%d:%b%b" % (len(parameters), parameters, content)


def _elements(tensor: Tensor) -> bytes:
    values = _in_order(tensor)
    kinds = set(map(type, values))
    layout = _FORMATS.get(tensor.datatype)
    if layout is not None:
        exact = values if layout in "efd" or kinds == {int} else [_whole(value) for value in values]
        try:
            return b"n" + struct.pack(f"<{len(exact)}{layout}", *exact)
        except (struct.error, OverflowError, TypeError):
            pass
    if kinds == {str}:
        lengths = struct.pack(f"<{len(values)}I", *map(len, values))
        return b"s" + lengths + "".join(values).encode(errors="surrogatepass")
    return b"t" + b"".join(_text(value) for value in values)


def _in_order(tensor: Tensor) -> Sequence[Any]:
    with suppress(TensorError):
        elements = elements_of(tensor)
        if set(map(type, elements)).isdisjoint((list, tuple)):
            return elements
    return list(_flat(tensor.data))


def _flat(data: list[Any]) -> Iterator[Any]:
    # With a stack of its own: nesting comes from outside and must not exhaust Python's.
    pending = [iter(data)]
    while pending:
        for value in pending[-1]:
            if isinstance(value, list | tuple):
                pending.append(iter(value))
                break
            yield value
        else:
            pending.pop()


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _text(value: Any) -> bytes:
    written = f"{type(value).__name__} {value!r}".encode(errors="backslashreplace")
    return b"%d:%s" % (len(written), written)
