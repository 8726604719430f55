"""A version's artifact, proved and ready to answer.

Bytes are loaded only after their SHA-256 was found equal to the digest that the registry has on record:
whoever changed them on the way, they do not run here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import onnxruntime

from modelyard_examples.open_inference import Array, DeclaredTensor

_DATATYPES = {
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(int64)": "INT64",
    "tensor(int32)": "INT32",
    "tensor(bool)": "BOOL",
    "tensor(string)": "BYTES",
}


class RefusedArtifactError(Exception):
    """The artifact is not the approved one, or is no model that this server can run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """One version in memory. `run` may be called from several threads at once."""

    name: str
    number: int
    digest: str
    inputs: Sequence[DeclaredTensor]
    outputs: Sequence[DeclaredTensor]
    session: Any

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs for arrays of shape [rows, 1], one per declared input."""
        names = [tensor.name for tensor in self.outputs]
        return dict(zip(names, self.session.run(names, dict(inputs)), strict=True))


def load_model(artifact: bytes, *, name: str, number: int, digest: str) -> LoadedModel:
    """Check the bytes against `digest` and load them. Raises RefusedArtifactError."""
    found = "sha256:" + sha256(artifact).hexdigest()
    if found != digest:
        raise RefusedArtifactError(f"the registry has {digest} on record, the bytes are {found}")
    options = onnxruntime.SessionOptions()
    # Small models answer fastest on the thread that asks; requests run beside each other instead.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(artifact, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class of their own.
        raise RefusedArtifactError(f"the artifact is no ONNX model: {error}"[:500]) from error
    return LoadedModel(
        name=name,
        number=number,
        digest=digest,
        inputs=_declared(session.get_inputs()),
        outputs=_declared(session.get_outputs()),
        session=session,
    )


def _declared(tensors: Sequence[Any]) -> tuple[DeclaredTensor, ...]:
    for tensor in tensors:
        if tensor.type not in _DATATYPES:
            raise RefusedArtifactError(f"{tensor.name} is a {tensor.type}, which this server does not serve")
        if len(tensor.shape) != 2 or tensor.shape[1] != 1:
            raise RefusedArtifactError(f"{tensor.name} has the shape {tensor.shape}, not [rows, 1]")
    return tuple(DeclaredTensor(name=tensor.name, datatype=_DATATYPES[tensor.type]) for tensor in tensors)
