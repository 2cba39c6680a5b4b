"""A recording that comes in piece by piece has the scores of the whole one."""

from __future__ import annotations

import gc
import itertools
import tracemalloc
from typing import Any

import jax
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fcconv
from comparing import assert_identical
from fcconv.backend import is_installed
from fcconv.errors import (
    ArgumentError,
    BackendError,
    DtypeError,
    ShapeError,
    UnsupportedError,
)
from fcconv.graph.files.load import load
from fcconv.graph.running.run import program_of
from fcconv.streaming.rewrite import write_stream
from fcconv.streaming.written import Written, sizes_of
from fcconv_modular import field_of
from fcconv_modular.residues import Residues
from graphs import Array, Graph
from random_graphs import Case, cases
from sliding_windows import patch_shape, pixels, residues, slid
from small_streams import pieces, pushed, recording, whole_numbers

ENGINES = [name for name in ("numpy", "jax", "torch", "onnxruntime") if is_installed(name)]

LENGTHS = (3, 0, 1, 17, 40, 2, 8)
"""Of pieces: shorter and longer than a chunk, than a window, and none."""


@settings(max_examples=30)
@given(
    case=cases(ranks=(1, 2), dtypes=["float32"]),
    windows=st.sampled_from(["shared", "exact"]),
    time=st.integers(0, 2),
    wider=st.integers(0, 7),
    chunks=st.lists(st.integers(1, 5), max_size=4),
    seed=st.integers(0, 2**30),
)
@pytest.mark.parametrize("prices", ["shared as far as it goes"], indirect=True)
@pytest.mark.usefixtures("prices")
def test_cells_are_those_of_the_whole_in_the_field(
    case: Case, windows: Any, time: int, wider: int, chunks: list[int], seed: int
) -> None:
    sliding = slid(case, windows)
    time %= len(case.axes)
    sizes = patch_shape(case.model)
    for k, axis in enumerate(case.axes):
        sizes[axis] += sliding.stride[k] * (wider >> k & 1) * (k != time)
    if any(sliding.margins[time]):
        with pytest.raises(UnsupportedError, match="reads padding along time"):
            write_stream(sliding.model, case.axes[time], sizes)
        return
    written = write_stream(sliding.model, case.axes[time], sizes)
    onnx.checker.check_model(ir.to_proto(written.model), full_check=True)
    assert written.warmup <= (sliding.window[time] - 1) // sliding.stride[time]
    rest = -(-2 * sizes[case.axes[time]] // written.smallest)
    lengths = [written.smallest * n for n in (*chunks, rest)]
    shape = list(sizes)
    shape[case.axes[time]] = sum(lengths)
    field = field_of(seed)
    image = pixels(field, seed, case.dtype, shape)
    whole = program_of(load(sliding.model)).run(field, residues(field, sliding.model), [image])
    made = streamed(written, field, image, lengths, case.axes[time])
    for k, expected in enumerate(whole):
        cells = np.concatenate([outputs[k].numbers for outputs in made], 2 + time)
        kept = [slice(None)] * cells.ndim
        kept[2 + time] = slice(written.warmup, written.warmup + expected.numbers.shape[2 + time])
        assert_identical(cells[tuple(kept)], expected.numbers, (lengths, case))


def streamed(
    written: Written, field: Any, image: Residues, lengths: list[int], axis: int
) -> list[list[Any]]:
    """Score a recording of a finite field chunk by chunk; cells of the warm-up stay."""
    program, parameters = program_of(written.model), residues(field, written.model)
    state = [
        Residues(np.zeros(sizes_of(value), np.int64), value.dtype.numpy())
        for value in written.states
        if value.dtype is not None
    ]
    made = []
    for chunk in itertools.islice(pieces(image.numbers, lengths, axis), len(lengths)):
        found = program.run(field, parameters, [Residues(chunk, image.dtype), *state])
        made.append(found[: len(written.scores)])
        state = found[len(written.scores) :]
    return made


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("windows", ["shared", "exact"])
def test_every_engine_streams(engine: str, windows: Any) -> None:
    """Bit for bit, by integers; windows stand 6 apart, where the network's strides make 4."""
    model, x = whole_numbers(pads=int(windows == "exact")), recording(203)
    sliding = fcconv.convolutionize(model, stride=6, windows=windows)
    stream = sliding.stream(chunk=12, engine=engine)
    expected = sliding(x)
    assert_identical(pushed(stream, x, LENGTHS)[..., : expected.shape[2]], expected, engine)
    name = "numpy" if engine == "onnxruntime" else engine
    assert fcconv.backend(stream.push(x)) is fcconv.backend(name)


def test_a_step_is_a_pure_function() -> None:
    """It runs in lax.scan, and leaves what it is given as it was."""
    sliding = fcconv.convolutionize(whole_numbers())
    stream, x = sliding.stream(engine="jax", chunk=40), recording(400)
    chunks = jax.numpy.stack(np.split(x, 10, axis=2))

    def step(state: Any, chunk: Any) -> tuple[Any, Any]:
        scores, state = stream.step(state, chunk)
        return state, scores

    _, scores = jax.lax.scan(step, stream.state0, chunks)
    cells = np.concatenate([*np.asarray(scores)], 2)[:, :, stream.warmup :]
    assert_identical(cells[..., : 381 // 4 + 1], sliding(x), "scan")
    by_hand = sliding.stream()
    state, (chunk, *_) = by_hand.state0, np.asarray(chunks)
    first, after = by_hand.step(state, chunk)
    assert not any(array.any() for array in state.values())
    assert_identical(by_hand.step(state, chunk)[0], first, "again")
    assert any(array.any() for array in after.values())


def test_cells_come_as_soon_as_they_are_known() -> None:
    """Sample by sample: windows of 20, 4 apart, of which 19 samples are read."""
    sliding = fcconv.convolutionize(whole_numbers())
    assert (sliding.field, sliding.stride) == ((19,), (4,))
    stream = sliding.stream()
    assert (stream.smallest_chunk, stream.warmup, stream.latency) == (4, 4, 1)
    x, given = recording(50), []
    for k in range(50):
        begins = stream.next_start
        if stream.push(x[:, :, k : k + 1]).shape[2]:
            given.append((k + 1, begins))
    assert given == [(20 + 4 * k, 4 * k) for k in range(8)]
    # 48 samples made whole chunks; of the windows that are left none has all that it reads
    assert stream.flush().shape[2] == 0
    slow = sliding.stream(chunk=12)
    assert slow.latency == 9  # a cell waits for the last sample of its 4, and the 8 behind them
    assert slow.push(x[:, :, :47]).shape[2] == 5
    assert slow.flush().shape[2] == 2  # (47 - 20) // 4 + 1 windows in all, as of a scan


def test_a_gap_begins_anew() -> None:
    sliding = fcconv.convolutionize(whole_numbers())
    stream, x = sliding.stream(), recording(100)
    stream.push(x[:, :, :41])
    stream.reset(missing=1000)
    assert stream.next_start == stream.samples == 1041
    assert_identical(stream.push(x), sliding(x), "after a gap")
    assert stream.next_start == 1041 + 4 * 21
    with pytest.raises(ArgumentError, match="missing"):
        stream.reset(missing=-1)


@pytest.mark.parametrize("prices", ["shared as far as it goes"], indirect=True)
@pytest.mark.parametrize("pads", [0, 1])
@pytest.mark.usefixtures("prices")
def test_space_beside_time(pads: int) -> None:
    """Of a film each frame may be larger than the window; its scores are maps."""
    graph = Graph(1, 6, 5, 4)
    weight = integers_of(graph, 2, 1, 3, 2, 2)
    x = graph.add("Conv", "image", weight, strides=[2, 1, 1], pads=[pads, 1, 0, pads, 1, 0])
    y = graph.add("Gemm", graph.add("Flatten", x), integers_of(graph, 2 * (2 + pads) * 6 * 3, 3))
    windows: Any = "exact" if pads else "shared"
    sliding = fcconv.convolutionize(graph.model(y), stride=(2, 1, 2), windows=windows)
    film = integers_of(graph, 1, 1, 30, 7, 8)
    stream = sliding.stream(axis=2, size=(7, 8))
    assert_identical(pushed(stream, film, (1, 5, 9)), sliding(film), "film")
    narrow = sliding.stream(axis=-3)
    assert narrow.push(film[:, :, :, :5, :4]).shape == (1, 3, 13, 1, 1)


def test_windows_side_by_side_wait_for_nothing() -> None:
    """Though what they share is cut in runs of 4 entries, of which a window has 3."""
    graph = Graph(2, 8)
    x = graph.add("Conv", "image", integers_of(graph, 1, 2, 3), strides=[2])
    x = graph.add("Conv", x, integers_of(graph, 2, 1, 3), pads=[1, 1])
    y = graph.add("Gemm", graph.add("Flatten", x), integers_of(graph, 6, 3))
    sliding = fcconv.convolutionize(graph.model(y), stride=8, windows="exact")
    stream, sound = sliding.stream(), recording(24)
    assert (stream.warmup, stream.latency) == (0, 1)  # nothing reads the eighth sample
    assert_identical(stream.push(sound), sliding(sound), "side by side")


def integers_of(graph: Graph, *shape: int) -> Array:
    numbers = np.random.default_rng(len(graph.constants)).integers(-3, 4, shape)
    return graph.array(numbers)


def test_scores_of_two_outputs_come_together() -> None:
    """One of which sees less, and is a number of another type."""
    graph = Graph(1, 9)
    early = graph.add("Conv", "image", integers_of(graph, 3, 1, 2))
    late = graph.add("Conv", early, integers_of(graph, 2, 3, 8))
    first = graph.add("Slice", early, *(np.array([n]) for n in (1, 2, 2)))
    place = graph.add("ArgMax", graph.add("Flatten", first), axis=1, keepdims=1)
    model = graph.model(graph.add("Flatten", late), place)
    sliding, x = fcconv.convolutionize(model), recording(40, 1)
    stream = sliding.stream()
    assert [*stream.state0] == ["state", "state_int64"]
    found = [stream.push(piece) for piece in pieces(x, (5, 9))]
    for k, expected in enumerate(sliding(x)):
        assert_identical(np.concatenate([both[k] for both in found], 2), expected, k)


def test_memory_does_not_grow() -> None:
    model, x = whole_numbers(window=200), recording(90)
    stream = fcconv.convolutionize(model).stream()
    tracemalloc.start()
    held = []
    for k in range(90):
        stream.push(x)
        if k % 30 == 29:
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert held[2] - held[1] < 30 * stream.state_bytes  # not a state for each push
    assert stream.next_start == 90 * 90 - stream.warmup * 4


@pytest.mark.skipif("torch" not in ENGINES, reason="needs torch")
def test_nothing_is_kept_for_gradients() -> None:
    """Else each state would hold on to all the chunks before it."""
    stream = fcconv.convolutionize(whole_numbers()).stream(engine="torch")
    assert not stream.push(recording(90)).requires_grad
    _, state = stream.step(stream.state0, recording(40))
    assert any(array.requires_grad for array in state.values())  # which a step leaves to others


def test_what_can_not_be_streamed() -> None:
    padded = fcconv.convolutionize(whole_numbers(pads=1))
    with pytest.raises(
        UnsupportedError, match=r"pads along time, axis 2.*windows='exact'"
    ) as found:
        padded.stream()
    assert any("fewer than crops" in note for note in found.value.__notes__)
    sliding = fcconv.convolutionize(whole_numbers())
    several: list[dict[str, Any]] = [
        {"axis": 1}, {"axis": 3}, {"chunk": 6}, {"chunk": 0}, {"size": (3,)}
    ]  # fmt: skip
    for wrong in several:
        with pytest.raises((ArgumentError, ShapeError)):
            sliding.stream(**wrong)
    with pytest.raises(BackendError, match="unknown"):
        sliding.stream(engine="abacus")


def test_samples_of_another_kind_are_refused() -> None:
    stream = fcconv.convolutionize(whole_numbers()).stream()
    x = recording(40)
    with pytest.raises(ShapeError, match="needs the shape"):
        stream.push(x[:, :1])
    with pytest.raises(ShapeError, match="one recording"):
        stream.push(np.concatenate([x, x]))
    with pytest.raises(DtypeError, match="float64"):
        stream.push(x.astype(np.float64))
    with pytest.raises(BackendError, match="NumPy"):
        stream.push(x.tolist())
    with pytest.raises(ShapeError, match="multiple of 4"):
        stream.step(stream.state0, x[:, :, :7])
    assert stream.samples == 0
    assert stream.push(x).shape == (1, 5, 6)
