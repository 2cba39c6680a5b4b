"""Whether a sound file is all there: libsndfile takes what is left of one for the whole."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from fcconv.errors import ImageError

WAVS = {b"RIFF": "<", b"RF64": "<", b"RIFX": ">"}
"""How a WAV begins, to the order of the bytes of its numbers."""

STREAMED_BYTES = 2**31 - 2**16
"""Bytes from which on a header means that the length was not known when it was written."""

W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
"""How a Wave64 begins: a GUID."""

MOST_TRIMMED = 2 * 4095 + 1152
"""Frames that an MP3 may hold beyond those it plays: its tag has 12 bits for how many to leave out
at each end, and what is left may fill a block only in part."""

MOST_SKIPPED = 2**16
"""Bytes between two blocks of an MP3 that are looked through; decoders give up after fewer."""

MPEG1_KILOBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
MPEG2_KILOBITS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
"""Kilobits a second of layer III, by four bits of a block's header: ISO 11172-3 and 13818-3."""

RATES = (44100, 48000, 32000)
"""Samples a second in MPEG-1, by two bits; MPEG-2 has half of these, MPEG-2.5 a quarter."""

TAGS = (b"Xing", b"Info")
"""What stands in the first block of an MP3 that says how many there are, and holds no sound."""

Bytes: TypeAlias = Any  # a memory map, or bytes


class Block(NamedTuple):
    """A block of an MP3: how many bytes it takes, and how many frames it holds."""

    bytes: int
    frames: int


def frames_of(path: Path, kind: str, said: int) -> int:
    """Return how many frames of a sound file can be read.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        What libsndfile calls its format.
    said : int
        How many frames libsndfile says that it has.

    Raises
    ------
    ImageError
        If it is cut off, or holds more than would be read.
    """
    if kind == "MP3":
        return _frames_of_mp3(path, said)
    with path.open("rb") as file:
        start = file.read(24)
        end = next((find(file, start) for magic, find in ENDS if start.startswith(magic)), 0)
        size = os.fstat(file.fileno()).st_size
    if end > size:
        raise ImageError(f"{path} is cut off: {size} bytes of {end}: copy it again")
    return said


def _end_of_wav(file: BinaryIO, start: bytes) -> int:
    """Return where the samples of a WAV end; 0 where that was not known when it was written."""
    order = WAVS[start[:4]]
    long = 0  # a RF64, which can be longer, says in a chunk of its own how long
    file.seek(12)
    while len(head := file.read(8)) == 8:
        kind, length = struct.unpack(f"{order}4sI", head)
        found = file.tell()
        if kind == b"data":
            return found + (long or length) if long or length < STREAMED_BYTES else 0
        if kind == b"ds64":
            _, long = struct.unpack("<2Q", file.read(16))
        file.seek(found + length + length % 2)
    return 0


def _end_of_aiff(_file: BinaryIO, start: bytes) -> int:
    (length,) = struct.unpack(">I", start[4:8])
    return 8 + length if length < STREAMED_BYTES else 0


def _end_of_w64(_file: BinaryIO, start: bytes) -> int:
    (length,) = struct.unpack("<Q", start[16:24])
    return int(length)


def _end_of_au(_file: BinaryIO, start: bytes) -> int:
    offset, length = struct.unpack(">II" if start[:1] == b"." else "<II", start[4:12])
    return offset + length if length < STREAMED_BYTES else 0


ENDS: tuple[tuple[bytes, Callable[[BinaryIO, bytes], int]], ...] = (
    *((magic, _end_of_wav) for magic in WAVS),
    (b"FORM", _end_of_aiff),
    (W64, _end_of_w64),
    *((magic, _end_of_au) for magic in (b".snd", b"dns.")),
)
"""How a file begins, to what finds the byte at which its header says that it ends."""


def _frames_of_mp3(path: Path, said: int) -> int:
    """Count the frames of an MP3, which libsndfile guesses where no tag says how many there are.

    It reads no more than it says, and a guess can be half of what is there, or more.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        held, tagged = _blocks(data)
    if held > said + MOST_TRIMMED * tagged:
        raise ImageError(
            f"{path} holds {held:,} samples, of which {said:,} would be read, as its beginning "
            f"{'says no more' if tagged else 'does not say how many'}: convert it to FLAC or WAV"
        )
    if held < said and tagged:
        raise ImageError(f"{path} is cut off: {held:,} samples of {said:,}: copy it again")
    return min(held, said) if held else said


def _blocks(data: Bytes) -> tuple[int, bool]:
    """Count the frames in all blocks of an MP3, and say whether a tag comes before them."""
    place = lost = held = 0
    tagged = False
    while place < len(data) and place - lost < MOST_SKIPPED:
        block = _block(data[place : place + 4])
        if place == lost and data[place : place + 3] == b"ID3":  # also where files were joined
            a, b, c, d = data[place + 6 : place + 10].ljust(4, b"\0")
            place = lost = place + 10 + (a << 21 | b << 14 | c << 7 | d)
        elif block is None or place + block.bytes > len(data):
            found = data.find(b"\xff", place + 1)
            place = found if found > 0 else len(data)
        else:
            is_tag = not held and any(tag in data[place : place + 64] for tag in TAGS)
            tagged |= is_tag
            held += 0 if is_tag else block.frames
            place = lost = place + block.bytes
    return held, tagged


def _block(head: bytes) -> Block | None:
    """Read the header of a block of layer III; None if it is not one, or has a free bit rate."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    kilobits, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer != 1 or not 0 < kilobits < 15 or rate == 3:
        return None
    frames, known = (1152, MPEG1_KILOBITS) if version == 3 else (576, MPEG2_KILOBITS)
    per_second = RATES[rate] // {3: 1, 2: 2, 0: 4}[version]
    return Block(known[kilobits] * 1000 * frames // 8 // per_second + padding, frames)
