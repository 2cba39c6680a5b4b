"""A colour profile of four inks, as a printer would have it, made by hand."""

from __future__ import annotations

import itertools
import struct

STRAIGHT = bytes(range(256))
"""A curve that changes nothing."""


def cmyk_profile(name: str = "inks") -> bytes:
    """Return an ICC profile (ICC.1:2001-04) by which black ink is black, and yellow is yellow.

    Lightness falls with each ink, and what is yellow along b with the third; between the 16 corners
    of the cube of inks a reader interpolates.
    """
    corners = b"".join(
        bytes(
            (
                0 if black else 255 - 60 * cyan - 70 * magenta - 10 * yellow,
                128 - 40 * cyan * (not black) + 60 * magenta * (not black),
                128 - 40 * cyan * (not black) + 80 * yellow * (not black),
            )
        )
        for cyan, magenta, yellow, black in itertools.product((0, 1), repeat=4)
    )
    identity = struct.pack(">9i", *(65536 if k % 4 == 0 else 0 for k in range(9)))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity
    words = name.encode() + b"\0"
    described = b"desc" + bytes(4) + struct.pack(">I", len(words)) + words + bytes(8 + 3 + 67)
    tags = {
        b"desc": described,
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061),  # D50
        b"A2B0": table + STRAIGHT * 4 + corners + STRAIGHT * 3,
    }
    place, entries, content = 128 + 4 + 12 * len(tags), b"", b""
    for tag, data in tags.items():
        padded = data + bytes(-len(data) % 4)
        entries += tag + struct.pack(">II", place + len(content), len(data))
        content += padded
    size = place + len(content)
    head = struct.pack(">I4sI4s4s4s", size, b"none", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    date = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    white = struct.pack(">3i", 63190, 65536, 54061)
    head += date + b"acsp" + bytes(28) + white
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + entries + content
