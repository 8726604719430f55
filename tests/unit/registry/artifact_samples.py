"""Artifacts of every kind, small: what is code-free, and what runs code when it is loaded."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
from onnx import TensorProto, helper


class Explosive:
    """Whoever unpickles this fails."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return _explode, ("an artifact was unpickled",)


def _explode(message: str) -> None:
    raise AssertionError(message)


def a_pickle(protocol: int = 4) -> bytes:
    return pickle.dumps(Explosive(), protocol=protocol)


def a_zip(entries: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED, level: int | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression, compresslevel=level) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def a_tar(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def an_onnx_model(*, domain: str = "", external: str | None = None) -> bytes:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    weights = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    if external is not None:
        weights.ClearField("float_data")
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value=external)
    node = helper.make_node("Identity", ["x"], ["y"], domain=domain)
    graph = helper.make_graph([node], "g", [value], [value], [weights])
    opsets = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return bytes(helper.make_model(graph, opset_imports=opsets).SerializeToString())


def a_safetensors_file(**tensors: int) -> bytes:
    header, offset = {}, 0
    for name, count in (tensors or {"w": 2}).items():
        header[name] = {"dtype": "F32", "shape": [count], "data_offsets": [offset, offset + 4 * count]}
        offset += 4 * count
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + bytes(offset)


def a_pickle_in_safetensors() -> bytes:
    """Valid safetensors: as a pickle it skips from string to string until it is behind the header."""
    hops = b"".join(b"U\x7e" + b"-" * 126 for _ in range(16)) + b"U\x7e"
    tail = b'":{"dtype":"U8","shape":[300],"data_offsets":[0,300]}}'
    header = (b'{"---' + hops + tail).ljust(0x0858)
    return b"X\x08" + bytes(6) + header + (b"-" * 45 + b"cos\nsystem\n(S'id'\ntR.").ljust(300, b"-")


def a_field(number: int, content: bytes) -> bytes:
    """A field of a Protocol Buffers message that holds bytes."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def a_saved_model(*operators: str, extra: bytes = b"") -> bytes:
    nodes = b"".join(a_field(1, a_field(1, b"n") + a_field(2, name.encode())) for name in operators or ("MatMul",))
    meta_graph = a_field(1, a_field(4, b"serve")) + a_field(2, nodes) + a_field(7, extra)
    return b"\x08\x01" + a_field(2, meta_graph)


def an_npy(*, objects: bool = False) -> bytes:
    buffer = io.BytesIO()
    array = np.array([{"a": 1}], dtype=object) if objects else np.zeros(3)
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def a_torch_archive() -> bytes:
    return a_zip({"model/version": b"3\n", "model/data/0": bytes(8), "model/data.pkl": a_pickle(2)})


VARIABLES = bytes(range(160, 256)) * 2

CODE_FREE: dict[str, tuple[str, bytes]] = {
    "onnx": ("onnx", an_onnx_model()),
    "safetensors": ("safetensors", a_safetensors_file(a=3, b=2)),
    "json lines": ("jsonl", b'{"text": "a"}\n{"text": "b"}\n'),
    "json": ("json", b'{"learner": {"trees": [1, 2]}}'),
    "array": ("npy", an_npy()),
    "arrays": ("npz", a_zip({"a.npy": an_npy(), "b.npy": an_npy()})),
    "lightgbm": ("lightgbm", b"tree\nversion=v3\nnum_class=1\n"),
    "pmml": ("pmml", b'<?xml version="1.0"?>\n<PMML version="4.4"></PMML>'),
    "zip of a saved model": (
        "saved-model",
        a_zip({"m/saved_model.pb": a_saved_model(), "m/variables/variables.data-00000-of-00001": VARIABLES}),
    ),
    "zip of onnx": ("zip", a_zip({"model.onnx": an_onnx_model(), "README.md": b"# A model"})),
    "tar of onnx": ("tar", a_tar({"model.onnx": an_onnx_model(), "labels.txt": b"good\nbad\n"})),
    "compressed json lines": ("gzip", gzip.compress(b'{"text": "a"}\n')),
    "deflated zip": ("zip", a_zip({"w.safetensors": a_safetensors_file()}, compression=zipfile.ZIP_DEFLATED)),
}
"""What is loaded without running anything: its format, and the bytes."""

NOT_KNOWN: dict[str, bytes] = {
    "text": b"some words",
    "bytes": VARIABLES,
    "tflite": b"\x1c\x00\x00\x00TFL3" + bytes(40),
    "catboost": b"CBM1" + VARIABLES,
    "gguf": b"GGUF\x03\x00\x00\x00" + bytes(40),
    "ubjson": b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner",
    "xml": b"<model/>",
    "zip of bytes": a_zip({"weights.bin": VARIABLES}),
    "zip of a text without a suffix": a_zip({"handler": b"import os\n"}),
    "tar of bytes": a_tar({"model.onnx": an_onnx_model(), "extra": VARIABLES}),
    "safetensors with bytes behind its end": a_safetensors_file() + VARIABLES,
    "safetensors that overlap": (lambda header: len(header).to_bytes(8, "little") + header + bytes(8))(
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'
    ),
    "six bytes of onnx": b"\x08\x07\x12\x04skl",
    "onnx with a field that no model has": an_onnx_model() + a_field(99, b"x"),
}
"""What may be data or not: admitted by name only."""

RUNS_CODE: dict[str, bytes] = {
    **{f"pickle of protocol {protocol}": a_pickle(protocol) for protocol in range(6)},
    "pickle of a number, protocol 0": pickle.dumps(1, protocol=0),
    "pickle behind a harmless one": pickle.dumps(1, protocol=0) + a_pickle(0),
    "pickle that never ends": b"cos\nsystem\n(S'id'\ntR",
    "pickle behind padding": b"(B" + (3_000_000).to_bytes(4, "little") + bytes(3_000_000) + b"0cos\nsystem\n",
    "pickle in the shape of safetensors": a_pickle_in_safetensors(),
    "torch": a_torch_archive(),
    "torch, pickle not first": a_zip({"archive/version": b"3", "archive/data.pkl": a_pickle(2)}),
    "torch, in a deeper folder": a_zip({"a/b/c/data.pkl": a_pickle(2), "a/onnx.onnx": an_onnx_model()}),
    "zip with a pickle under an innocuous name": a_zip({"model.onnx": an_onnx_model(), "LICENSE": a_pickle()}),
    "zip with a protocol-0 pickle": a_zip({"a.txt": b"a", "notes.txt": a_pickle(0)}),
    "zip with a pickle, deflated": a_zip({"x/labels.txt": a_pickle()}, compression=zipfile.ZIP_DEFLATED),
    "zip with a pickle, in bzip2": a_zip({"labels.txt": a_pickle()}, compression=zipfile.ZIP_BZIP2),
    "zip in a zip": a_zip({"a.zip": a_zip({"b.zip": a_zip({"c.txt": a_pickle(0)})})}),
    "zip with Python": a_zip({"model.onnx": an_onnx_model(), "custom.py": b"x = 1\n"}),
    "zip with a library": a_zip({"libcustom.so.1": b"\x7fELF" + bytes(60)}),
    "zip that leads out": a_zip({"../../etc/cron.d/x": b"x"}),
    "zip behind other bytes": an_onnx_model() + a_zip({"data.pkl": a_pickle()}),
    "pickle with a zip behind it": a_pickle() + a_zip({"a.txt": b"a"}),
    "saved model zip with a pickle": a_zip({"saved_model.pb": a_saved_model(), "assets/vocab.txt": a_pickle(0)}),
    "saved model that calls Python": a_zip({"saved_model.pb": a_saved_model("MatMul", "EagerPyFunc")}),
    "saved model that writes files": a_zip({"saved_model.pb": a_saved_model("WriteFile")}),
    "saved model with operators of a library": a_saved_model("Addons>Resampler"),
    "saved model with a Lambda": a_saved_model(extra=b'{"class_name": "L\\u0061mbda"}'),
    "tar with a pickle": a_tar({"model.onnx": an_onnx_model(), "a": a_pickle(0)}),
    "tar.gz with a pickle": gzip.compress(a_tar({"a": a_pickle()})),
    "joblib in zlib": zlib.compress(a_pickle()),
    "joblib in gzip": gzip.compress(a_pickle()),
    "joblib in bzip2": bz2.compress(a_pickle()),
    "joblib in xz": lzma.compress(a_pickle()),
    "joblib in lzma": lzma.compress(a_pickle(), format=lzma.FORMAT_ALONE),
    "joblib in lz4": b"\x04\x22\x4d\x18" + bytes(40),
    "zstandard": b"\x28\xb5\x2f\xfd" + bytes(40),
    "gzip cut off": gzip.compress(VARIABLES * 9)[:-9],
    "array of objects": an_npy(objects=True),
    "arrays with objects": a_zip({"a.npy": an_npy(), "b.npy": an_npy(objects=True)}),
    "array that is none": b"\x93NUMPY\x01\x00v\x00" + b"{" * 200,
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "keras": a_zip({"config.json": b"{}", "metadata.json": b"{}", "model.weights.h5": b"\x89HDF\r\n\x1a\n"}),
    "keras configuration with a Lambda": b'{"config": {"layers": [{"class_name": "Lambda"}]}}',
    "torchserve archive": a_zip({"MAR-INF/MANIFEST.json": b"{}", "handler.txt": b"x"}),
    "R's serialized objects": gzip.compress(b"X\n\x00\x00\x00\x03" + bytes(40)),
    "R's workspace": gzip.compress(b"RDX3\nX\n" + bytes(40)),
    "Java's serialized objects": b"\xac\xed\x00\x05sr",
    "a script": b"#!/bin/sh\nid\n",
    "a library": b"\x7fELF" + bytes(60),
    "transformers with remote code": b'{"auto_map": {"AutoModel": "modeling.Custom"}}',
    "hydra": b'{"model": [{"_target_": "os.system"}]}',
    "yaml with Python": b"model: !!python/object/apply:os.system ['id']\n",
    "pmml with entities": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><PMML>&a;</PMML>',
    "onnx that calls Python": an_onnx_model(domain="ai.onnx.contrib"),
    "onnx with operators of a library": an_onnx_model(domain="com.example"),
    "onnx that reads a file elsewhere": an_onnx_model(external="../../../etc/passwd"),
    "skops": a_zip({"schema.json": b'{"__class__": "x"}', "0.npy": an_npy(objects=True)}),
    "zip of a bomb": a_zip({"a.txt": bytes(300_000_000)}, compression=zipfile.ZIP_DEFLATED, level=1),
    "gzip of a bomb": gzip.compress(bytes(300_000_000), compresslevel=1),
    "zip with many entries": a_zip({str(number): b"" for number in range(10_001)}),
    "zip that ends early": a_zip({"a.txt": b"a" * 1000})[:-40],
    "encrypted zip": (lambda content: content[:6] + b"\x01" + content[7:])(a_zip({"a.txt": b"a"})).replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"
    ),
}
"""What runs code when it is loaded, or may do so."""
