"""The rooms of fcconv and which imports which, as the files say it."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

ROOT = Path(__file__).parents[2] / "fcconv"
ARRAYS = "array functions"
"""What the modules are called that lie in no room."""

Room = str


def room_of(name: str) -> Room:
    """Name the room of a module such as ``fcconv.graph.rules.maps``."""
    parts = name.split(".")
    if len(parts) < 3 or not (ROOT / parts[1]).is_dir():
        return ARRAYS
    if parts[1] == "graph" and len(parts) > 3 and (ROOT / "graph" / parts[2]).is_dir():
        return f"graph/{parts[2]}"
    return parts[1]


def imported(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports when it is imported itself."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fcconv."):
            # of a package, what is imported may be a module
            yield from (f"{node.module}.{one.name}" for one in node.names)


def arrows() -> dict[Room, set[Room]]:
    """Return the rooms that each room imports from."""
    found: dict[Room, set[Room]] = defaultdict(set)
    for path in sorted({*ROOT.rglob("*.py")} - {ROOT / "__main__.py"}):
        name = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        here = room_of(name + ".x")
        found[here] |= {room_of(other) for other in imported(path)} - {here}
    return found


def levels(found: dict[Room, set[Room]]) -> dict[Room, int]:
    """Count the steps from each room to the lowest; two that import each other are level."""
    level = dict.fromkeys(found, 0)
    for _ in found:
        for room, others in found.items():
            below = [level[o] for o in others if room not in found.get(o, set())]
            level[room] = max([level[room], *(n + 1 for n in below)])
    return level


def shown(found: dict[Room, set[Room]], level: dict[Room, int]) -> Iterator[tuple[Room, Room]]:
    """Yield the arrows that others do not imply, and all that do not lead down."""
    for room, others in found.items():
        down = {other for other in others if level[other] < level[room]}
        implied = {far for near in down for far in found[near] if level[far] < level[near]}
        yield from ((room, other) for other in sorted(others - (implied & down)))


found = arrows()
level = levels(found)
rows: dict[int, list[Room]] = defaultdict(list)
for room in sorted(level):
    rows[level[room]].append(room)
places = {
    room: (10 * (k + 0.5) / len(row), 1.5 * height)
    for height, row in rows.items()
    for k, room in enumerate(row)
}
figure, axes = plt.subplots(figsize=(9, 1.05 * len(rows) + 0.5))
axes.set(xlim=(0, 10), ylim=(-0.6, 1.5 * max(rows) + 0.7))
axes.axis("off")
for room, other in sorted(shown(found, level)):
    (x, y), (to_x, to_y) = places[room], places[other]
    is_down = to_y < y
    axes.annotate(
        "",
        (to_x, to_y + 0.28 * is_down),
        (x, y - 0.28 * is_down),
        arrowprops={
            "arrowstyle": "-|>",
            "color": "#9a9a9a" if is_down else "#d55e00",
            "linewidth": 1.2,
            "connectionstyle": "arc3,rad=0.05" if is_down else "arc3,rad=0.25",
        },
    )
for room, (x, y) in sorted(places.items()):
    shape = FancyBboxPatch(
        (x - 0.72, y - 0.24), 1.44, 0.48, boxstyle="round,pad=0.04", facecolor="#dbeefb",
        edgecolor="#56b4e9", zorder=3,
    )  # fmt: skip
    axes.add_patch(shape)
    axes.text(x, y, room, ha="center", va="center", fontsize=9, zorder=4)
