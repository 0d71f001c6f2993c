"""Reads GGUF (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), versions 2 and 3, little endian: metadata, tensors as binary32.

A quantised tensor is a sequence of blocks of neighbours in a row, each with its own scale. An element is a product, or a product plus an
offset; products are exact in binary32, so it is rounded once at most.
"""
import dataclasses
import math
import struct

import numpy as np

SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
STRING, ARRAY = 8, 9


class Malformed(Exception):
    """What is wrong with the file, in a line."""


def halves(blocks, at):
    """The binary16 number at byte `at` of every block, as a column of binary32."""
    return np.ascontiguousarray(blocks[:, at:at + 2]).view("<f2").astype(np.float32)


def nibbles(bytes_):
    """Low halves of all bytes, then high halves: element i and i + 16 share a byte."""
    return np.concatenate([bytes_ & 15, bytes_ >> 4], axis=1).astype(np.float32)


# Type of tensor: its name, elements and bytes of a block, and the elements of blocks (n, bytes).
TYPES = {
    0: ("F32", 1, 4, lambda b: b.view("<f4")),
    3: ("Q4_1", 32, 20, lambda b: nibbles(b[:, 4:]) * halves(b, 0) + halves(b, 2)),
    8: ("Q8_0", 32, 34, lambda b: b[:, 2:].view(np.int8).astype(np.float32) * halves(b, 0)),
}


@dataclasses.dataclass(frozen=True)
class Tensor:
    shape: tuple  # as numpy has it: elements of the last index are neighbours
    type: int
    offset: int  # in the data

    @property
    def bytes(self):
        _, elements, size, _ = TYPES[self.type]
        return math.prod(self.shape) // elements * size


class Gguf:
    """The file in `data`: `metadata`, a dict; `tensors`, a dict of Tensor."""

    def __init__(self, data):
        self.data, self.at = data, 0
        if self.take("<4s") != b"GGUF":
            raise Malformed("does not begin with GGUF")
        if (version := self.take("<I")) not in (2, 3):
            raise Malformed(f"is of version {version}; legal: 2, 3")
        tensors, entries = self.take("<Q"), self.take("<Q")
        self.metadata = {}
        for _ in range(entries):
            key = self.string()
            self.metadata[key] = self.value(self.take("<I"))
        self.tensors = {}
        for _ in range(tensors):
            name = self.string()
            shape = tuple(self.take("<Q") for _ in range(self.take("<I")))[::-1]
            tensor = Tensor(shape, self.take("<I"), self.take("<Q"))
            if tensor.type not in TYPES:
                raise Malformed(f"tensor {name} has type {tensor.type}; legal: {', '.join(f'{t} ({row[0]})' for t, row in TYPES.items())}")
            if not shape or shape[-1] % TYPES[tensor.type][1]:
                raise Malformed(f"tensor {name} has shape {shape}, rows of no whole blocks")
            self.tensors[name] = tensor
        alignment = self.metadata.get("general.alignment", 32)
        self.begin = -(-self.at // alignment) * alignment
        for name, tensor in self.tensors.items():
            if tensor.offset % alignment or self.begin + tensor.offset + tensor.bytes > len(data):
                raise Malformed(f"tensor {name} of {tensor.bytes} bytes at {tensor.offset} does not lie in the file of {len(data)}")

    def take(self, form):
        size = struct.calcsize(form)
        if self.at + size > len(self.data):
            raise Malformed(f"ends at byte {len(self.data)}, within its header")
        self.at += size
        return struct.unpack_from(form, self.data, self.at - size)[0]

    def string(self):
        return self.take(f"<{min(self.take('<Q'), len(self.data))}s").decode()

    def value(self, kind):
        if kind in SCALARS:
            return self.take(SCALARS[kind])
        if kind == STRING:
            return self.string()
        if kind != ARRAY:
            raise Malformed(f"has a value of type {kind}")
        of = self.take("<I")
        return [self.value(of) for _ in range(min(self.take("<Q"), len(self.data)))]

    def binary32(self, name):
        """The elements of a tensor, in its shape."""
        tensor = self.tensors[name]
        _, _, size, elements = TYPES[tensor.type]
        blocks = np.frombuffer(self.data, np.uint8, tensor.bytes, self.begin + tensor.offset).reshape(-1, size)
        return elements(blocks).reshape(tensor.shape)
