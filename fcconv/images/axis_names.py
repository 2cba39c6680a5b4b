"""Letters of axes by what they are called."""

from __future__ import annotations

LETTERS = {
    **dict.fromkeys(("x", "lon", "longitude", "width", "column"), "W"),
    **dict.fromkeys(("y", "lat", "latitude", "height", "row"), "H"),
    **dict.fromkeys(("z", "depth"), "D"),
    **dict.fromkeys(("c", "channel", "channels", "band", "bands"), "C"),
    **dict.fromkeys(("n", "batch"), "N"),
}


def letter_of(name: str) -> str:
    """Return the letter of an axis; in lower case its first one if no image has it, or "?".

    Examples
    --------
    >>> letter_of("Depth"), letter_of("time"), letter_of("*")
    ('D', 't', '?')
    """
    word = name.lower()
    return LETTERS.get(word, word[:1] if word[:1].isalpha() else "?")
