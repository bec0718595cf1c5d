"""TFRecord, the framing of TensorBoard's event files: length and content, each with a masked CRC-32C.

Written here, not by the `tensorboard` package: that one needs protobuf, grpc and a dozen more packages for a hundred
bytes of framing, computes the checksum byte by byte in Python (a minute for a million rows; columns of bytes take a
few seconds), and stamps the host's name into file names. Format:
https://www.tensorflow.org/tutorials/load_data/tfrecord
"""

import struct
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78
"""CRC-32C (Castagnoli), bits reversed."""

_MASK_DELTA = 0xA282EAD8


def framed(records: Sequence[bytes]) -> bytes:
    """Records as they stand in a TFRecord file.

    Example:
        >>> framed([b"123456789"])[12:21], hex(int.from_bytes(framed([b"123456789"])[21:], "little"))
        (b'123456789', '0xc78ab0e5')
    """
    lengths = [struct.pack("<Q", len(record)) for record in records]
    out = bytearray()
    for length, length_crc, record, crc in zip(
        lengths, masked_crcs(lengths), records, masked_crcs(records), strict=True
    ):
        out += length
        out += struct.pack("<I", length_crc)
        out += record
        out += struct.pack("<I", crc)
    return bytes(out)


def masked_crcs(messages: Sequence[bytes]) -> list[int]:
    """The masked CRC-32C of each message; messages of one length are computed side by side."""
    crcs = np.zeros(len(messages), dtype=np.uint32)
    places: dict[int, list[int]] = defaultdict(list)
    for place, message in enumerate(messages):
        places[len(message)].append(place)
    for length, same in places.items():
        content = np.frombuffer(b"".join(messages[place] for place in same), dtype=np.uint8)
        crcs[same] = _crcs_of_columns(content.reshape(len(same), length))
    rotated: NDArray[np.uint32] = (crcs >> np.uint32(15)) | (crcs << np.uint32(17))
    return [(value + _MASK_DELTA) & 0xFFFFFFFF for value in rotated.tolist()]


def _crcs_of_columns(messages: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """CRC-32C of each row of an array of shape (messages, bytes)."""
    crc = np.full(len(messages), 0xFFFFFFFF, dtype=np.uint32)
    for column in np.ascontiguousarray(messages.T):
        crc = _TABLE[(crc ^ column) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
    return crc ^ np.uint32(0xFFFFFFFF)


def _table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


_TABLE = _table()
