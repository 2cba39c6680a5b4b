"""Break the code on purpose and see the tests fail: ``python tests/mutations.py``.

Each mutation is one replacement in a copy of the sources, and names the tests that must notice.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

NUMPY = "backends/fcconv_numpy/__init__.py"
NUMPY_CONV = "backends/fcconv_numpy/convolution.py"
NUMPY_PRODUCTS = "backends/fcconv_numpy/products.py"
NUMPY_COLUMNS = "backends/fcconv_numpy/columns.py"
NUMPY_DTYPES = "backends/fcconv_numpy/dtypes.py"
NUMPY_PLAN = "backends/fcconv_numpy/plan.py"
NUMPY_THREADS = "backends/fcconv_numpy/threads.py"
JAX = "backends/fcconv_jax/__init__.py"
JAX_CONV = "backends/fcconv_jax/convolution.py"
FORMS = "test_three_forms.py::test_forms_are_equal_on_integers"
MATRIX = "test_three_forms.py::test_every_convolution_is_a_matrix"
CONV = "test_definitions.py::test_conv"
MAX_POOL = "test_definitions.py::test_max_pool"
AVG_POOL = "test_definitions.py::test_avg_pool"
EXACT_CROPS = "test_exact.py::test_every_window_is_its_crop_in_the_field"
SAMPLES = "fcconv/graph/rules/samples.py"
FEATURES = "fcconv/graph/rules/features.py"
MAPS = "fcconv/graph/rules/maps.py"
VALUES = "fcconv/graph/rules/values.py"
ALIGN = "fcconv/graph/rules/align.py"
WALK = "fcconv/graph/rewriting/walk.py"
WINDOWS = "fcconv/graph/operators/windows.py"
ONE_PASS = "test_sliding.py::test_one_pass_equals_the_crops"
AUDIT = "test_scan_audit.py"
PROOF = "test_sliding.py::test_verdict_and_proof_agree"
OPERATORS = "test_sliding_operators.py::test_operators_slide"
SLIDING_FORMS = "test_sliding_forms.py::test_forms_slide"
PLAN = "fcconv/scanning/plan.py"
IN_TILES = "test_tiles.py::test_definitions_hold_in_tiles"
TILES = "test_plan.py::test_tiles_equal_the_whole_image"
MISSING = "test_scan_missing.py"
CUT_OUT = "test_scan_cut_out.py"
SELECTION = "test_scan_selection.py"
PARTS = "test_scan_parts.py"
PEAKS = "test_scan_peaks.py::test_peaks_equal_those_of_brute_force"
MODULAR = "backends/fcconv_modular/__init__.py"
EXACT_PROOF = "test_exact_proof.py"
TORCH = "backends/fcconv_torch/__init__.py"
TORCH_CONV = "backends/fcconv_torch/convolution.py"
TORCH_DTYPES = "backends/fcconv_torch/dtypes.py"
TORCH_NETWORK = "backends/fcconv_torch/network.py"
OF_TORCH = "test_torch_backend.py::test_"
FORGERIES = "test_forgeries.py"
OME, OME_MAP = "test_images_ome.py::test_", "test_map_ome_zarr.py::test_"
IN_CHUNKS = "test_stream.py::test_cells_are_those_of_the_whole_in_the_field"


@dataclass(frozen=True)
class Mutation:
    """A replacement in one file, and the test that must fail with it."""

    name: str
    file: str
    old: str
    new: str
    test: str


MUTATIONS = [
    Mutation(
        "streams: a value is as late as all that it reads would be by itself",
        "fcconv/streaming/moves.py",
        "return (delay + self.start + self.extent - 1) // self.stride",
        "return (delay + self.start + self.extent - 1) // self.stride + (self.stride > 1)",
        IN_CHUNKS,
    ),
    Mutation(
        "streams: an operator reads one entry too few of earlier chunks",
        "fcconv/streaming/rewrite.py",
        "count = delay * move.stride - move.start - self.delays[value]",
        "count = max(delay * move.stride - move.start - self.delays[value] - 1, 0)",
        IN_CHUNKS,
    ),
    Mutation(
        "streams: branches of different delay meet as they are",
        "fcconv/streaming/rewrite.py",
        "return self.late(node, value, count, 0 if moving else count)",
        "return self.late(node, value, count, 0) if moving else self.tensors[value]",
        IN_CHUNKS,
    ),
    Mutation(
        "streams: runs are waited for to their end",
        "fcconv/streaming/moves.py",
        "return max(range(length)[start : end.times : step], default=0) + 1",
        "return length",
        "test_stream.py::test_windows_side_by_side_wait_for_nothing",
    ),
    Mutation(
        "streams: windows along other axes are not counted in the state",
        "fcconv/streaming/rewrite.py",
        "dtype, sizes, axis, count * each)",
        "dtype, sizes, axis, count)",
        "test_stream.py::test_space_beside_time",
    ),
    Mutation(
        "streams: what waits is scored twice",
        "fcconv/streaming/stream.py",
        "self._waiting = self._library.copy(_cut(new, self.axis, whole, count))",
        "self._waiting = self._library.copy(new)",
        "test_stream.py::test_cells_come_as_soon_as_they_are_known",
    ),
    Mutation(
        "exact windows: what padding reaches at the beginning is shared",
        "fcconv/graph/rewriting/exact/parts.py",
        "ceil_div(self.head + before, stride), 0",
        "(self.head + before) // stride, 0",
        EXACT_CROPS,
    ),
    Mutation(
        "exact windows: one sample too few is kept at the end",
        "fcconv/graph/rewriting/exact/parts.py",
        "- 1 - moves.extent + before) // stride + 1",
        "- 1 - moves.extent + before) // stride + 2",
        EXACT_CROPS,
    ),
    Mutation(
        "exact windows: no padding behind a tail",
        "fcconv/graph/rewriting/exact/parts.py",
        "max(-start, 0), max(stop - self.block, 0)",
        "max(-start, 0), 0",
        EXACT_CROPS,
    ),
    Mutation(
        "exact windows: windows of two axes change places in the batch",
        "fcconv/graph/rewriting/exact/strips.py",
        "rank + 1, [0, where.axis + 1, 1]",
        "rank + 1, [0, 1, where.axis + 1]",
        EXACT_CROPS,
    ),
    Mutation(
        "exact windows: a batch of one is always the first axis of a reshape",
        "fcconv/graph/rewriting/exact/batch.py",
        "place = next((k for k in found if made[k] == 1), found[-1])",
        "place = 0",
        "test_exact.py::test_networks_that_pad_or_mix",
    ),
    Mutation(
        "exact windows: nothing is gathered where sharing ends, by the cost",
        "fcconv/graph/rewriting/exact/cost.py",
        "totals[cut] += GATHERED * _whole(value, local)",
        "totals[cut] += 0",
        "test_exact.py::test_sharing_ends_where_it_no_longer_pays",
    ),
    Mutation(
        "kernel axes swapped",
        NUMPY_COLUMNS,
        "(step * e for step, e in zip(steps, window.dilation, strict=True))",
        "(step * e for step, e in zip(steps[::-1], window.dilation[::-1], strict=True))",
        f"{CONV}[numpy]",
    ),
    Mutation(
        "kernel flipped, a true convolution",
        JAX_CONV,
        "        weight,\n        window_strides",
        "        weight[:, :, ::-1],\n        window_strides",
        f"{CONV}[jax]",
    ),
    Mutation(
        "flatten order inverted",
        "fcconv/weights.py",
        "back = [1 + order.index(axis) for axis in layout]",
        "back = [1 + layout.index(axis) for axis in order]",
        f"{FORMS}[numpy]",
    ),
    Mutation(
        "bias dropped",
        NUMPY,
        "return None if bias is None else",
        "return None if True else",
        f"{FORMS}[numpy]",
    ),
    Mutation("bias dropped in JAX", JAX, "if bias is not None:", "if False:", f"{FORMS}[jax]"),
    Mutation(
        "windows shifted by one",
        NUMPY_COLUMNS,
        "padded[:, :, :, *target] = inside",
        "padded[:, :, :, *target] = np.roll(inside, 1, axis=-1)",
        f"{CONV}[numpy]",
    ),
    Mutation(
        "stride and dilation exchanged",
        NUMPY_COLUMNS,
        "zip(steps, window.stride, strict=True)",
        "zip(steps, window.dilation, strict=True)",
        f"{CONV}[numpy]",
    ),
    Mutation(
        "dilation ignored",
        JAX_CONV,
        "rhs_dilation=window.dilation,",
        "rhs_dilation=None,",
        f"{CONV}[jax]",
    ),
    Mutation(
        "groups interleaved",
        NUMPY,
        "wide(weight).reshape(groups, outputs // groups, terms), _column",
        "wide(weight).reshape(outputs // groups, groups, terms).swapaxes(0, 1), _column",
        f"{CONV}[numpy]",
    ),
    Mutation(
        "groups ignored in the matrix",
        "fcconv/weights.py",
        "group[:, None] == channel // per_group",
        "group[:, None] >= 0 * channel",
        f"{MATRIX}[numpy]",
    ),
    Mutation(
        "padding on one side only",
        JAX_CONV,
        "        padding=window.padding,",
        "        padding=[(sum(pads), 0) for pads in window.padding],",
        f"{CONV}[jax]",
    ),
    Mutation(
        "odd pixel of same padding before the input",
        "fcconv/geometry.py",
        "(pixels // 2, pixels - pixels // 2)",
        "(pixels - pixels // 2, pixels // 2)",
        f"{CONV}[numpy]",
    ),
    Mutation(
        "last window dropped",
        "fcconv/geometry.py",
        "(n - e) // r + 1 for",
        "max((n - e) // r, 1) for",
        f"{CONV}[numpy]",
    ),
    Mutation(
        "JAX computes in NumPy",
        "fcconv/ops.py",
        "    return backend.dense(x, weight, bias)",
        "    import fcconv_numpy\n    return fcconv_numpy.dense(x, weight, bias)",
        f"{FORMS}[jax]",
    ),
    Mutation(
        "padding is taken for input that the kernel covers",
        "fcconv/geometry.py",
        "return self.kernel == size and not any(map(any, self.padding))",
        "return self.kernel == size",
        "test_jax.py::test_the_form_follows_from_the_shape",
    ),
    Mutation(
        "a form of the CPU everywhere",
        JAX_CONV,
        "**by_platform, default=default",
        "**by_platform, default=chosen[0]",
        "test_jax.py::test_the_platform_chooses",
    ),
    Mutation(
        "channels of shifted sums repeated as a whole",
        JAX_CONV,
        "jnp.repeat(x, outputs // groups, axis=1)",
        "jnp.tile(x, (1, outputs // groups, *[1] * len(window.kernel)))",
        "test_jax.py::test_forms_equal_lax",
    ),
    Mutation(
        "products of a CPU lose precision",
        JAX_CONV,
        "(((1,), (along,)), ((), ())), precision=precision",
        "(((1,), (along,)), ((), ())), precision=None",
        "test_jax.py::test_products_of_a_cpu_keep_float32_whole",
    ),
    Mutation(
        "taps of a product backwards",
        JAX_CONV,
        "axis=axis - rank) for span in spans]",
        "axis=axis - rank) for span in spans[::-1]]",
        "test_jax.py::test_forms_equal_lax",
    ),
    Mutation(
        "cells of padding stay",
        JAX_CONV,
        "return lax.slice_in_dim(y, 0, window.output[-1], axis=-1)",
        "return y",
        "test_jax.py::test_forms_equal_lax",
    ),
    Mutation(
        "results leave their library",
        JAX,
        "    return _finish(y, bias, x.dtype, channel=y.ndim - 1)",
        "    return np.asarray(_finish(y, bias, x.dtype, channel=y.ndim - 1))",
        f"{FORMS}[jax]",
    ),
    Mutation(
        "results leave their dtype",
        NUMPY_PRODUCTS,
        "return y.astype(dtype, copy=False)",
        "return y",
        "test_three_forms.py::test_forms_agree_on_floats[numpy]",
    ),
    Mutation(
        "float16 accumulates in float16",
        NUMPY_DTYPES,
        "dtype.itemsize == 2 and",
        "dtype.itemsize == 0 and",
        "test_definitions.py::test_avg_pool_on_floats[numpy]",
    ),
    Mutation(
        "integers go through float64",
        NUMPY_DTYPES,
        "np.dtype(np.float32) if narrow else native(dtype)",
        "np.dtype(np.float32) if narrow else np.result_type(dtype, np.float64)",
        "test_definitions.py::test_integers_are_exact_modulo_their_size[numpy]",
    ),
    Mutation(
        "float32 becomes TF32 on a GPU",
        JAX,
        "lax.Precision.HIGHEST",
        "lax.Precision.DEFAULT",
        "test_jax.py::test_float32_stays_whole_unless_asked",
    ),
    Mutation("padding wins a maximum", NUMPY, "else -np.inf", "else 0", f"{MAX_POOL}[numpy]"),
    Mutation("padding wins in JAX", JAX, "else -np.inf", "else 0", f"{MAX_POOL}[jax]"),
    Mutation(
        "mean counts the padding",
        "fcconv/pools.py",
        "if count_include_pad:  #",
        "if True:  #",
        f"{AVG_POOL}[numpy-False]",
    ),
    Mutation(
        "ceil_mode keeps windows of padding only",
        "fcconv/geometry.py",
        "if overhangs and output[axis] * r < n + before:",
        "if overhangs:",
        f"{AVG_POOL}[numpy-True]",
    ),
    Mutation(
        "matrix misses a tap",
        "fcconv/weights.py",
        "(tap >= 0)",
        "(tap >= 1)",
        f"{MATRIX}[numpy]",
    ),
    Mutation(
        "gathering multiplies by zeros",
        JAX,
        "    return padded[:, :, *index]",
        "    return padded[:, :, *index] + 0 * padded.sum()",
        "test_definitions.py::test_im2col[jax]",
    ),
    Mutation(
        "big-endian results",
        NUMPY_DTYPES,
        'return dtype.newbyteorder("=")',
        "return dtype",
        "test_layouts.py::test_layouts_do_not_matter",
    ),
    Mutation(
        "only NumPy's arrays are known by their type",
        "fcconv/backend.py",
        "if _module(name).owns(kind)",
        'if name == "numpy"',
        "test_backends.py::test_it_is_named_and_found_by_its_arrays",
    ),
    Mutation(
        "a backend does not compile",
        "fcconv/graph/engines/compiling.py",
        "call = backend.jit(apply)",
        "call = apply",
        "test_backends.py::test_it_computes_networks",
    ),
    Mutation(
        "a format of one array is given several",
        "fcconv/scanning/store.py",
        "if not SCORE_FORMATS[out.suffix].holds_several:",
        "if False:",
        "test_formats.py::test_a_format_of_one_array_is_not_given_two",
    ),
    Mutation(
        "libraries mixed",
        "fcconv/backend.py",
        "if any(other != first for other in others):",
        "if False:",
        "test_errors.py::test_libraries_must_agree",
    ),
    Mutation(
        "a tile lands beside its place",
        NUMPY_CONV,
        "first = first * n + start",
        "first = first * n + (start if n == window.output[-1] else 0)",
        f"{IN_TILES}[1x8-conv]",
    ),
    Mutation(
        "a pool's tile misses its neighbours",
        "fcconv/geometry.py",
        "+ self.extent[axis]",
        "+ min(self.extent[axis], self.stride[axis])",
        f"{IN_TILES}[1x8-max_pool]",
    ),
    Mutation(
        "images of a tile exchanged",
        NUMPY_CONV,
        "made.reshape(groups, outputs, images, windows).transpose(2, 0, 1, 3)",
        "made.reshape(groups, outputs, images, windows)[:, :, ::-1].transpose(2, 0, 1, 3)",
        f"{CONV}[numpy]",
    ),
    Mutation(
        "threads share one workspace",
        NUMPY_COLUMNS,
        "class Workspace(threading.local):",
        "class Workspace:",
        "test_tiles.py::test_each_thread_has_its_own_workspace",
    ),
    Mutation(
        "BLAS stays on one thread",
        NUMPY_THREADS,
        "        self._set(self._before)\n",
        "",
        "test_threads.py::test_threads_take_every_item_once_and_leave_blas_as_it_was",
    ),
    Mutation(
        "threads divide what others share already",
        NUMPY_THREADS,
        "_is_shared.set(True)",
        "_is_shared.set(False)",
        "test_threads.py::test_what_is_shared_is_not_divided_again",
    ),
    Mutation(
        "only the first thread that holds BLAS does so",
        NUMPY_THREADS,
        "release(force=True)\n                library",
        "library",
        "test_threads.py::test_any_thread_may_hold_blas_and_the_last_restores_it",
    ),
    Mutation(
        "networks leave BLAS its threads",
        "fcconv/graph/running/run.py",
        "with backend.running_network():",
        "if True:",
        "test_threads.py::test_networks_hold_blas_to_one_thread_and_divide_products_themselves",
    ),
    Mutation(
        "each part of a product adds the first part's bias",
        NUMPY_PRODUCTS,
        "None if bias is None else bias[rows]",
        "None if bias is None else bias[: stop - start]",
        "test_products.py::test_parts_make_the_whole",
    ),
    Mutation(
        "a thread has no tile",
        NUMPY_PLAN,
        "tiles + -tiles % threads",
        "tiles",
        "test_tiles.py::test_each_thread_has_as_many_tiles",
    ),
    Mutation(
        "True is remembered as 1",
        "fcconv/checks.py",
        "maxsize=4096, typed=True",
        "maxsize=4096",
        "test_errors.py::test_what_is_remembered_for_integers_holds_for_them_alone",
    ),
    Mutation(
        "what is read again is overwritten",
        "fcconv/graph/running/run.py",
        "is_spent and is_unshared(x, chain(kept or (), others))",
        "is_spent",
        "test_entrywise.py::test_blocks_change_no_number_and_no_other_array",
    ),
    Mutation(
        "constants are overwritten",
        "fcconv/graph/running/run.py",
        "parameters.values(), static.values())",
        "parameters.values())",
        "test_entrywise.py::test_blocks_change_no_number_and_no_other_array",
    ),
    Mutation(
        "step ignores the stride of windows",
        SAMPLES,
        "step = math.gcd(jump, stride)",
        "step = jump",
        ONE_PASS,
    ),
    Mutation(
        "step is taken for the stride",
        SAMPLES,
        "stride=step // self.step,",
        "stride=step,",
        ONE_PASS,
    ),
    Mutation(
        "sliding dilation not scaled",
        SAMPLES,
        "dilation=dilation * self.scale,",
        "dilation=dilation,",
        ONE_PASS,
    ),
    Mutation(
        "sliding padding not scaled",
        SAMPLES,
        "before=before * self.scale,",
        "before=before,",
        PROOF,
    ),
    Mutation(
        "what no window reads makes cells",
        SAMPLES,
        "after -= unread",
        "pass",
        "test_sliding_networks.py::test_what_no_window_reads_is_left_out",
    ),
    Mutation(
        "padding is forgotten after one layer",
        SAMPLES,
        "max(self.pad_margin[0] + before * self.jump, 0)",
        "max(before * self.jump, 0)",
        PROOF,
    ),
    Mutation(
        "a slice makes up for padding",
        SAMPLES,
        "max(self.pad_margin[0] + before * self.jump, 0)",
        "self.pad_margin[0] + before * self.jump",
        f"{OPERATORS}[Pad by less than nothing-1]",
    ),
    Mutation(
        "blocks flattened channels first, always",
        "fcconv/graph/operators/linear.py",
        "kernel[:, numbers] = matrix",
        "kernel[:, np.sort(numbers)] = matrix",
        f"{OPERATORS}[features, channels last-1]",
    ),
    Mutation(
        "a block keeps what is not read",
        FEATURES,
        "parts = [(int(place.min()), int(np.ptp(place)) + 1, 1) for place in x.places]",
        "return x",
        f"{OPERATORS}[padding that is not read-1]",
    ),
    Mutation(
        "unfolded samples in the order of channels",
        FEATURES,
        "picked = phase.ravel() * x.channels + layout.channels",
        "picked = np.arange(phase.size)",
        f"{OPERATORS}[a constant for each pixel-1]",
    ),
    Mutation(
        "geometry of another axis",
        MAPS,
        "values[axis - 2] for axis in self.along]",
        "values[k] for k, axis in enumerate(self.along)]",
        f"{OPERATORS}[turned axes-1]",
    ),
    Mutation(
        "axes of the kernel as they come",
        WINDOWS,
        "and running == list(range(2, weight.array.ndim)):",
        "and running:",
        f"{OPERATORS}[turned axes-1]",
    ),
    Mutation(
        "global pool misses a sample",
        WINDOWS,
        "axis.covered(stride) if k in over else",
        "axis.windowed(stride, max(axis.block - 1, 1), stride // axis.step or 1, 1, 0, 0)\n"
        "        if k in over else",
        ONE_PASS,
    ),
    Mutation(
        "overhang counts in a mean",
        WINDOWS,
        "after = min(after * axis.scale, slide.after)",
        "after = slide.after",
        f"{OPERATORS}[padding that counts-None]",
    ),
    Mutation(
        "a constant for each channel backwards",
        ALIGN,
        "line.reshape(-1, *(1,) * len(like.axes))",
        "line[::-1].reshape(-1, *(1,) * len(like.axes))",
        f"{OPERATORS}[a constant for each channel-1]",
    ),
    Mutation(
        "joined parts keep the numbers of the first",
        ALIGN,
        "[x.where[1] + start for x, start in",
        "[x.where[1] + 0 * start for x, start in",
        f"{OPERATORS}[features of two grids-1]",
    ),
    Mutation(
        "padding of the other branch forgotten",
        SAMPLES,
        "pad_margin=(max(a.pad_margin[0] for a in same), max(a.pad_margin[1] for a in same)),",
        "",
        f"{OPERATORS}[padding of one branch-1]",
    ),
    Mutation(
        "all phases begin at the same pixel",
        FEATURES,
        "spec = [(a, *part) for a, part in",
        "spec = [(0 * a, *part) for a, part in",
        f"{SLIDING_FORMS}[SpaceToDepth, then a convolution-None]",
    ),
    Mutation(
        "rows of features taken for pixels",
        VALUES,
        "if varies(image, along) or varies(channel, others):",
        "if varies(image, along):",
        "test_sliding_refusals.py::test_refuses_with_the_node_and_the_reason",
    ),
    Mutation(
        "the first row of a kernel reads the only row",
        WINDOWS,
        "row = [t for t in range(kernel) if t * dilation == before]",
        "row = [0]",
        f"{SLIDING_FORMS}[a kernel of three rows over one-None]",
    ),
    Mutation(
        "features of one value, spread over those of another, are not repeated",
        ALIGN,
        "else _widened(x, along, shape)",
        "else x",
        f"{SLIDING_FORMS}[one of several axes of features-None]",
    ),
    Mutation(
        "merged images of a batch stay merged",
        FEATURES,
        "return np.array_equal(image, batch) and not any(",
        "return not any(",
        "test_sliding_refusals.py::test_refuses_with_the_node_and_the_reason",
    ),
    Mutation(
        "softmax along an axis of the image",
        "fcconv/graph/operators/reductions.py",
        'return context.target.emit(node, node.op, [tensor], {"axis": 1})',
        'return context.target.emit(node, node.op, [tensor], {"axis": 2})',
        PROOF,
    ),
    Mutation(
        "alpha dropped",
        "fcconv/graph/operators/linear.py",
        "    if factor == 1:\n        return x\n    value = ",
        "    if factor:\n        return x\n    value = ",
        ONE_PASS,
    ),
    Mutation(
        "made constants take the names of others",
        WALK,
        'Writer(graph.opset_imports.get("", 0), names=names_in(patch.model))',
        'Writer(graph.opset_imports.get("", 0))',
        "test_sliding_networks.py::test_names_do_not_collide",
    ),
    Mutation(
        "nodes beside a 1x1 convolution take the names of others",
        "fcconv/graph/rewriting/pointwise.py",
        "        names=names_in(model),\n",
        "",
        "test_names.py::test_engines_load_what_is_written",
    ),
    Mutation(
        "five outputs of a normalisation are not training",
        "fcconv/graph/operators/normalization.py",
        "of_old = node.opset < 14 and len(node.asked) > 1",
        "of_old = False",
        "test_misread_nodes.py::test_a_normalisation_of_five_outputs_is_in_training_mode",
    ),
    Mutation(
        "attributes that no rule knows are left out",
        "fcconv/graph/check.py",
        "if not (name in known or name.startswith(INTERNAL)",
        "if False and not (name in known or name.startswith(INTERNAL)",
        "test_misread_nodes.py::test_statistics_of_each_entry_are_refused",
    ),
    Mutation(
        "values take the names of others",
        "fcconv/graph/rules/writer.py",
        "made.name = free_name(str(written.name), self.names)",
        "made.name = str(written.name)",
        "test_names.py::test_engines_load_what_is_written",
    ),
    Mutation(
        "a tile without the context before it",
        PLAN,
        "max(first - self.before, 0)",
        "first",
        TILES,
    ),
    Mutation(
        "a tile without the context after it",
        SAMPLES,
        "max(self.pad_margin[1] + after * self.jump, 0)",
        "0",
        TILES,
    ),
    Mutation(
        "the last tile does not end with the image",
        PLAN,
        "remainder = (self.size - self.window) % self.stride",
        "remainder = 0",
        TILES,
    ),
    Mutation(
        "cut out windows in another order",
        "fcconv/scanning/engine.py",
        "np.moveaxis(np.concatenate(parts), 0, -1).reshape(-1, *shape)",
        "np.concatenate(parts).reshape(-1, *shape)",
        "test_scan.py::test_padded_networks_have_two_kinds_of_windows",
    ),
    Mutation(
        "every window of a sliding network where every n-th is asked for",
        "fcconv/scanning/engine.py",
        "slice(None, None, n) for n in self.every",
        "slice(None, None, 1) for n in self.every",
        f"{CUT_OUT}::test_every_so_many_windows_of_a_sliding_network",
    ),
    Mutation(
        "axes of a network that can't slide are those tried first",
        "fcconv/graph/rewriting/shared.py",
        "return max(stuck, key=nodes_before)",
        "return stuck[0]",
        f"{CUT_OUT}::test_channels_may_be_last",
    ),
    Mutation(
        "onnxruntime takes memory by patterns",
        "fcconv/graph/engines/session.py",
        "options.enable_mem_pattern = False",
        "options.enable_mem_pattern = True",
        "test_scan_limits.py::test_values_go_when_they_are_read",
    ),
    Mutation(
        "probabilities add up to 1 along the first axis of the map",
        "fcconv/scanning/activation.py",
        "shifted / shifted.sum(axis=0)",
        "shifted / shifted.sum(axis=1, keepdims=True)",
        "test_scan_activation.py::test_probabilities_are_those_of_the_definition",
    ),
    Mutation(
        "crops of a scan of probabilities keep their scores",
        "fcconv/scanning/cut_out.py",
        "job.activated(made)[0]",
        "made[0]",
        "test_scan_activation.py::test_peaks_and_audits_have_probabilities_of_crops",
    ),
    Mutation(
        "a mask is looked up at the corners of windows",
        "fcconv/scanning/selection.py",
        "* s + k / 2",
        "* s",
        f"{SELECTION}::test_a_picture_of_any_resolution_marks_windows",
    ),
    Mutation(
        "windows that reach out of a region are scored",
        "fcconv/scanning/selection.py",
        "math.floor((stop - k) / s + 1e-9)",
        "math.floor(stop / s + 1e-9)",
        f"{SELECTION}::test_windows_inside_a_region_are_scored",
    ),
    Mutation(
        "a box that polygons touch lies inside as a whole",
        "fcconv/scanning/polygons.py",
        "if shapely.covers(self.shape, box)",
        "if shapely.intersects(self.shape, box)",
        f"{SELECTION}::test_polygons_hold_windows",
    ),
    Mutation(
        "tiles without a wanted window are read",
        "fcconv/scanning/tiles.py",
        "return self.left_out == self.tile.windows",
        "return False",
        f"{SELECTION}::test_tiles_without_a_wanted_window_are_not_read",
    ),
    Mutation(
        "a part leaves out the last of its tiles",
        "fcconv/scanning/plan.py",
        "number * len(items) // parts]",
        "(number * len(items) - 1) // parts]",
        f"{PARTS}::test_parts_are_equal_shares_of_the_tiles_that_are_wanted[shared]",
    ),
    Mutation(
        "a part goes on in tiles of its own, where another was first",
        "fcconv/scanning/parts.py",
        "if begun != run.record:",
        "if begun == run.record:",
        f"{PARTS}::test_processes_make_what_one_makes",
    ),
    Mutation(
        "a part fails where another was first",
        "fcconv/scanning/group.py",
        "if record_in(path) is None:\n                    raise",
        "raise",
        f"{PARTS}::test_processes_make_what_one_makes",
    ),
    Mutation(
        "a whole scan does not wait for parts",
        "fcconv/scanning/lock.py",
        "fcntl.LOCK_SH | fcntl.LOCK_NB",
        "fcntl.LOCK_UN",
        f"{PARTS}::test_a_whole_scan_waits_for_parts_and_they_for_it",
    ),
    Mutation(
        "a run of another mask is gone on with",
        "fcconv/scanning/selection.py",
        'told["mask"] = self.area.identity()',
        'told["mask"] = ""',
        f"{SELECTION}::test_the_store_tells_the_selection",
    ),
    Mutation(
        "tiles of a scan that is opened are not compared with their digests",
        "fcconv/scanning/saved.py",
        "lost = sum(folder.read(chunk) is None for chunk in kept)",
        "lost = 0",
        "test_scan_saved.py::test_what_is_no_scan_is_refused_in_one_line",
    ),
    Mutation(
        "what is mirrored is not read",
        "fcconv/images/padded.py",
        "first = max(min(part.start, n - 1 - beyond), 0) if beyond else part.start",
        "first = min(part.start, n - 1)",
        "test_scan_pad.py::test_a_padded_scan_is_that_of_the_padded_image",
    ),
    Mutation(
        "channels come in the order of the file",
        "fcconv/images/image.py",
        "else 0 for place in self.chosen",
        "else 0 for place in sorted(self.chosen)",
        "test_channels.py::test_channels_are_those_in_this_order_and_no_others_are_read",
    ),
    Mutation(
        "a mask of one channel takes pixels of all",
        "fcconv/images/image.py",
        "self._chosen(self.masks[level], region).all(axis=0)",
        "self._chosen(self.masks[level], region).any(axis=0)",
        "test_ground.py::test_pixels_that_a_mask_takes_in_all_channels_have_no_value",
    ),
    Mutation(
        "y comes before x on the ground",
        "fcconv/images/ground.py",
        "matrix = np.array(coordinates.matrix)[::-1]  # x before y, as places are",
        "matrix = np.array(coordinates.matrix)",
        "test_ground.py::test_columns_and_rows_lie_at_x_and_y",
    ),
    Mutation(
        "peaks of any scan have the scores of this one",
        "fcconv/report/peak_list.py",
        "if not np.array_equal(boxes, [peak.box for peak in peaks]):",
        "if len(boxes) != len(peaks):",
        "test_ground.py::test_scores_of_another_scan_are_not_taken_for_those_of_peaks",
    ),
    Mutation(
        "all channels between two that are wanted are read",
        "fcconv/images/channels.py",
        "together <= 1:",
        "together <= 2:",
        "test_channels.py::test_channels_are_those_in_this_order_and_no_others_are_read",
    ),
    Mutation(
        "new pixels have a value whatever they are made of",
        "fcconv/images/padded.py",
        "self._padded(missing[np.newaxis], more)[0]",
        "np.pad(missing, [(0, n) for n in more])",
        "test_scan_pad.py::test_pixels_without_a_value_are_repeated_as_such",
    ),
    Mutation(
        "what JAX is told to compute on is where its weights lie only",
        "fcconv/scanning/engine.py",
        "with without_gradients(engine.name), engine.on_device():",
        "with without_gradients(engine.name):",
        "test_devices.py::test_jax_computes_on_the_device_that_it_is_told",
    ),
    Mutation(
        "an engine is chosen for each of many images",
        "fcconv/cli/many.py",
        'if job.engine == "auto":',
        "if False:",
        "test_scan_many.py::test_the_network_is_compiled_once_and_one_engine_chosen",
    ),
    Mutation(
        "an audit draws the first windows",
        "fcconv/scanning/audit.py",
        "order = rng.choice(total, min(total, MAX_DRAWS * count), replace=False)",
        "order = np.arange(min(total, MAX_DRAWS * count))",
        f"{AUDIT}::test_windows_drawn_are_any",
    ),
    Mutation(
        "an audit takes the clearest decisions for the closest",
        "fcconv/scanning/audit.py",
        "highest[1] - highest[0]",
        "highest[0] - highest[1]",
        f"{AUDIT}::test_peaks_and_close_decisions_are_among_them",
    ),
    Mutation(
        "an audit looks for peaks among the strongest windows only",
        "fcconv/scanning/audit.py",
        "[-PEAK_CANDIDATES * count :]",
        "[-count:]",
        f"{AUDIT}::test_peaks_and_close_decisions_are_among_them",
    ),
    Mutation(
        "the bounds of an audit are of one end",
        "fcconv/scanning/differences.py",
        "(1 - CONFIDENCE) / 2",
        "1 - CONFIDENCE",
        f"{AUDIT}::test_bounds_are_those_of_clopper_and_pearson",
    ),
    Mutation(
        "an audit cuts out windows where those of an image without gaps are",
        "fcconv/scanning/cut_out.py",
        "zip(cell, job.step, strict=True)",
        "zip(cell, job.network.stride, strict=True)",
        f"{AUDIT}::test_scores_in_a_file_and_gaps_between_windows",
    ),
    Mutation(
        "gaps between windows that share a pass exactly are read",
        "fcconv/scanning/job.py",
        'if self.windows == "shared":',
        'if self.windows != "crops":',
        f"{MISSING}::test_gaps_between_windows_are_not_read",
    ),
    Mutation(
        "windows in the batch grow along one axis only",
        "fcconv/scanning/memory.py",
        "entries[: len(entries) // 2], entries[len(entries) // 2 :]",
        "entries[: len(entries) // 2], entries[: len(entries) // 2]",
        "test_scan_exact.py::test_the_smallest_images_tell_what_a_tile_takes",
    ),
    Mutation(
        "networks that compute five images at a time share a pass",
        "fcconv/scanning/exactly.py",
        "if batch in (None, 1):",
        "if True:",
        "test_scan_exact.py::test_a_fixed_batch_is_cut_out_and_that_is_said",
    ),
    Mutation(
        "gaps between windows are one window wide",
        "fcconv/images/gaps.py",
        "slice(cell * stride, cell * stride + window)",
        "slice(cell * 2 * window, cell * 2 * window + window)",
        f"{MISSING}::test_gaps_between_windows_are_not_read",
    ),
    Mutation(
        "the last pixel of a window may be without a value",
        "fcconv/images/missing.py",
        "while reach < length:",
        "while 2 * reach < length:",
        f"{MISSING}::test_windows_with_a_missing_pixel_have_no_score",
    ),
    Mutation(
        "a level that has too few pixels is read",
        "fcconv/images/levels.py",
        "factor * scale <= 1 + ROUNDING",
        "factor * scale <= 2",
        "test_levels.py::test_what_is_read_for_a_size",
    ),
    Mutation(
        "factors of levels are those of their rounded sizes",
        "fcconv/images/levels.py",
        "for factor in (round(n / m), n / m):",
        "for factor in (n / m,):",
        "test_levels.py::test_a_whole_factor_is_found_in_rounded_sizes",
    ),
    Mutation(
        "a level that is not the image in another size is read",
        "fcconv/images/levels.py",
        "abs(short - long / factor) < 1",
        "abs(short - long / factor) < 99",
        "test_levels.py::test_factors_that_are_not_whole",
    ),
    Mutation(
        "magnification is taken for microns where the file tells the power of its objective",
        "fcconv/images/sizing.py",
        "if power is not None and",
        "if power is None and",
        "test_sizing.py::test_magnification_is_that_of_the_objective",
    ),
    Mutation(
        "microns that are given don't count where the file tells some",
        "fcconv/images/image.py",
        "if side is not None:",
        "if side is not None and told is None:",
        "test_sizing.py::test_what_is_read",
    ),
    Mutation(
        "pixels without a value have a part in resized ones",
        "fcconv/images/scales.py",
        "_resized(missing[here], without[there].shape, box) > 0",
        "_resized(missing[here], without[there].shape, box) > 0.5",
        f"{MISSING}::test_resized_pixels_that_cover_a_missing_one_are_missing",
    ),
    Mutation(
        "a tile of another run is kept",
        "fcconv/scanning/store.py",
        "if was != now:",
        "if not before:",
        "test_scan_resume.py::test_another_run_is_not_gone_on_with[image-.zarr]",
    ),
    Mutation(
        "memory is that of two windows where the image has one",
        "fcconv/scanning/memory.py",
        "(k, k + s) if k + s <= n else (n,)",
        "(k, k + s) if True else (n,)",
        "test_scan_limits.py::test_a_stride_far_beyond_the_image_takes_no_memory",
    ),
    Mutation(
        "networks in the wrong order are wrong rewritings",
        "fcconv/certificate/certify.py",
        "if not made.holds and _is_marked(first) and not _is_marked(second):",
        "if False:",
        "test_cli_networks.py::test_verify_notices_networks_in_the_wrong_order",
    ),
    Mutation(
        "the batch is blamed where one image is stuck elsewhere",
        "fcconv/graph/rewriting/shared.py",
        "alone.error.node != found.error.node:",
        "False:",
        "test_sliding_refusals.py::test_the_batch_is_not_blamed_where_one_image_is_stuck_elsewhere",
    ),
    Mutation(
        "a NaN in one class is a window without a score",
        "fcconv/images/missing.py",
        "without & nan",
        "without",
        "test_scan_missing.py::test_a_nan_that_the_network_makes_in_one_class_is_not_a_window_without_a_score",
    ),
    Mutation(
        "bands are taken for channels of length one",
        "fcconv/scanning/network_layout.py",
        "channel = next(iter([*longer, *others]), None)",
        "channel = next(iter([*others]), None)",
        "test_scan.py::test_bands_that_do_not_slide_are_channels",
    ),
    Mutation(
        "a chunk of another place is taken for a tile's own",
        "fcconv/scanning/chunks.py",
        "json.dumps([self.record, chunk], sort_keys=True)",
        "json.dumps([self.record], sort_keys=True)",
        "test_scan_damage.py::test_damaged_tiles_are_computed_again[.zarr-tiles exchanged]",
    ),
    Mutation(
        "a finished tile is one whose files are there",
        "fcconv/scanning/chunks.py",
        "return scores if written == self._digest(chunk, scores).tobytes() else None",
        "return scores",
        "test_scan_damage.py::test_damaged_tiles_are_computed_again[.zarr-chunks exchanged]",
    ),
    Mutation(
        "a date that was put back hides that a file has changed",
        "fcconv/images/watched.py",
        "found.st_mtime_ns, found.st_ctime_ns, found.st_dev, found.st_ino",
        "found.st_mtime_ns",
        "test_scan_changed.py::test_a_file_that_changes[rewritten-3]",
    ),
    Mutation(
        "a folder that was replaced is written to",
        "fcconv/scanning/chunks.py",
        "if record_in(self.path) != self.record:",
        "if record_in(self.path) is None:",
        "test_scan_damage.py::test_a_folder_that_goes_away_is_noticed[replaced-2-.zarr]",
    ),
    Mutation(
        "a link to other weights is followed",
        "fcconv/graph/files/beside.py",
        "os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK",
        "os.O_RDONLY | os.O_NONBLOCK",
        "test_load_weights.py::test_what_is_exchanged_after_it_was_checked_is_not_read[below]",
    ),
    Mutation(
        "of equal neighbours all are peaks",
        "fcconv/scanning/peaks.py",
        "np.greater_equal if shift < still else np.greater",
        "np.greater",
        PEAKS,
    ),
    Mutation(
        "the first peak suppresses all that touch it",
        "fcconv/scanning/suppression.py",
        "iou(self.boxes[stronger], self.boxes[weaker]) > self.overlap",
        "iou(self.boxes[stronger], self.boxes[weaker]) > 0",
        "test_scan_peaks.py::test_peaks_that_overlap_a_little_are_both_kept",
    ),
    Mutation(
        "a box that is suppressed suppresses others",
        "fcconv/scanning/suppression.py",
        "if not gone[stronger[start]]:",
        "if True:",
        "test_suppression.py::test_it_keeps_what_the_definition_keeps",
    ),
    Mutation(
        "boxes in the next row of the grid are not compared",
        "fcconv/scanning/suppression.py",
        "product((-1, 0, 1), repeat=len(strides) - 1)",
        "product((-1, 0), repeat=len(strides) - 1)",
        "test_suppression.py::test_it_keeps_what_the_definition_keeps",
    ),
    Mutation(
        "colours end at the hottest score",
        "fcconv/report/picture.py",
        "if middle < top < high:",
        "if False:",
        "test_report.py::test_the_scale_does_not_end_at_a_few_scores_far_above_the_others",
    ),
    Mutation(
        "soundfile seeks after each read of what is decoded in order",
        "fcconv/images/sound_frames.py",
        ', {"seekable": lambda _: False})',
        ", {})",
        "test_sounds.py::test_regions_of_every_format",
    ),
    Mutation(
        "the length that libsndfile guesses for an MP3 is believed",
        "fcconv/images/sound_ends.py",
        "return min(held, said) if held else said",
        "return said",
        "test_sounds.py::test_an_mp3_without_a_tag_is_as_long_as_its_blocks",
    ),
    Mutation(
        "the block of an MP3's tag is counted as sound",
        "fcconv/images/sound_ends.py",
        "held += 0 if is_tag else block.frames",
        "held += block.frames",
        "test_sounds.py::test_an_mp3_of_which_a_part_would_not_be_read_is_refused",
    ),
    Mutation(
        "a network's sample rate is not compared",
        "fcconv/scanning/sample_rate.py",
        "if own != trained:",
        "if False:",
        "test_sounds.py::test_a_network_that_says_its_rate_is_not_given_another",
    ),
    Mutation(
        "sizes in units stand in another order than those in pixels",
        "fcconv/report/units.py",
        "lengths = lengths[:, ::-1]",
        "pass",
        "test_sounds.py::test_places_in_units",
    ),
    Mutation(
        "a WAV that is cut off is taken for a whole one",
        "fcconv/images/sound_ends.py",
        "if end > size:",
        "if False:",
        "test_images_files.py::test_a_wav_that_is_cut_off",
    ),
    Mutation(
        "red and blue swapped in grey",
        "fcconv/images/preparation.py",
        "LUMA = (0.299, 0.587, 0.114)",
        "LUMA = (0.114, 0.587, 0.299)",
        "test_preparation.py::test_grey_is_the_luma_of_bt_601",
    ),
    Mutation(
        "the heat of a window stands at its corner",
        "fcconv/report/picture.py",
        "(scan.window[axis] - stride) / 2 + cells * stride",
        "cells * stride",
        "test_report.py::test_hot_window_is_where_its_centre_is",
    ),
    Mutation(
        "one prime for all keys",
        MODULAR,
        "Field(key, _random_prime(key))",
        "Field(key, 1048573)",
        f"{FORGERIES}::test_numbers_that_are_equal_modulo_a_prime",
    ),
    Mutation(
        "attributes hashed by a checksum",
        MODULAR,
        'hashlib.blake2b(f"{key} {name}".encode(), digest_size=8).digest()',
        'bytes([key % 256, *__import__("zlib").crc32(name.encode()).to_bytes(4)])',
        f"{FORGERIES}::test_attributes_of_one_checksum",
    ),
    Mutation(
        "integers divided as floats are",
        MODULAR,
        "        if not is_float(dtype):",
        "        if False:",
        f"{FORGERIES}::test_integers_are_not_divided_as_floats_are",
    ),
    Mutation(
        "types share a function",
        MODULAR,
        'key = " ".join([key, *(str(x.dtype) for x in xs), str(dtype)])',
        'key = " ".join([key, *(x.dtype.kind for x in xs), dtype.kind])',
        "test_field.py::test_no_two_types_share_a_function",
    ),
    Mutation(
        "large integers keyed by float64",
        MODULAR,
        'if values.dtype.kind in "iub":',
        'if values.dtype.kind in "b":',
        "test_field.py::test_integers_beyond_those_of_float64_are_told_apart",
    ),
    Mutation(
        "minus zero taken for zero",
        MODULAR,
        "small &= ~(np.signbit(wide) & (wide == 0))",
        "small &= True",
        "test_field.py::test_minus_zero_is_not_zero",
    ),
    Mutation(
        "a seed that is known in advance",
        "fcconv/certificate/certify.py",
        "secrets.randbits(SEED_BITS)",
        "0",
        f"{FORGERIES}::test_keys_are_not_known_in_advance",
    ),
    Mutation(
        "floats that no bound judges",
        "fcconv/certificate/measure.py",
        "apart = np.isfinite(bound.error) & (np.abs(a - b) > 2 * bound.error)",
        "apart = np.zeros(a.shape, bool)",
        f"{FORGERIES}::test_an_engine_that_loses_digits_is_named",
    ),
    Mutation(
        "a NaN that is lost",
        "fcconv/certificate/measure.py",
        "wrong = apart | (is_number & was & ~stays)",
        "wrong = apart",
        f"{FORGERIES}::test_what_has_no_bound_is_measured",
    ),
    Mutation(
        "a number of images that is treated apart",
        "fcconv/certificate/layerwise.py",
        "not any(None in shape for shape in declared)",
        "True",
        "test_pointwise_sizes.py::test_a_number_of_images_is_not_treated_apart",
    ),
    Mutation(
        "weights that are held twice",
        "fcconv/certificate/weights.py",
        "if same is not array:",
        "if False:",
        "test_certificate.py::test_large_weights_of_both_networks_are_held_once",
    ),
    Mutation(
        "rounding that drawn pixels hide",
        "fcconv/certificate/measure.py",
        "wrong = np.isfinite(bound.error) & ~(error <= bound.error)",
        "wrong = np.zeros(error.shape, bool)",
        f"{FORGERIES}::test_what_no_drawn_pixel_shows",
    ),
    Mutation(
        "what few images show",
        "fcconv/certificate/measure.py",
        " or _wider(pair, shapes, dtypes)",
        "",
        f"{FORGERIES}::test_what_few_images_show_is_bounded",
    ),
    Mutation(
        "powers without a pole",
        "fcconv/certificate/bounds.py",
        'if name == "Pow":',
        "if False:",
        f"{FORGERIES}::test_what_few_images_show_is_bounded",
    ),
    Mutation(
        "what inner graphs read from outside",
        "fcconv/graph/node.py",
        "for value in dict.fromkeys(read) if value not in made",
        "for value in ()",
        f"{FORGERIES}::test_what_is_left_alone_is_compared_by_all_its_bytes",
    ),
    Mutation(
        "reasons of what is exact",
        "fcconv/graph/rewriting/sliding.py",
        '"reasons": () if sliding.exact else sliding.reasons',
        '"reasons": sliding.reasons',
        f"{FORGERIES}::test_nor_what_it_says_of_an_exact_one",
    ),
    Mutation(
        "sums with 0 round",
        "fcconv/certificate/bounds.py",
        "size = np.where(is_exact, 0.0, a.size_of + b.size_of)",
        "size = a.size_of + b.size_of",
        f"{FORGERIES}::test_a_convolution_may_be_split_by_its_inputs",
    ),
    Mutation(
        "weights of 0 count as roundings",
        "fcconv/certificate/bounds.py",
        "if np.any(weight.error):  # whatever is 0 may be something else",
        "if True:",
        "test_bounds.py::test_weights_of_0_round_nothing",
    ),
    Mutation(
        "an overflow that a weight of 0 meets spoils the bound",
        "fcconv/certificate/bounds.py",
        "if known.all():",
        "if True:",
        "test_bounds.py::test_weights_of_0_carry_no_error",
    ),
    Mutation(
        "one key for all",
        "fcconv/certificate/keys.py",
        "yield int(self.rng.integers(2**63))",
        "yield int(np.random.default_rng(0).integers(2**63))",
        f"{FORGERIES}::test_weights_that_are_chosen_for_a_known_key",
    ),
    Mutation(
        "arguments that don't fit end in a traceback",
        "fcconv/graph/rewriting/following.py",
        "with computing(node):  # whatever a network that others wrote holds",
        "if True:",
        f"{FORGERIES}::test_a_node_that_does_not_fit_is_named",
    ),
    Mutation(
        "types that an operator does not take",
        "fcconv/graph/files/types.py",
        'if f"tensor({dtype.name.lower()})" not in taken:',
        "if False:",
        "test_spec.py::test_types_that_an_operator_does_not_take",
    ),
    Mutation(
        "padding that is said twice",
        "fcconv/graph/check.py",
        'and any(node.attribute("pads", ())):',
        "and False:",
        "test_spec.py::test_padding_is_said_once",
    ),
    Mutation(
        "a runtime judges though it refuses the original",
        "fcconv/certificate/runs.py",
        "expected = judge(original, _images(first, batches[0]))",
        "expected = judge(rewritten, _images(first, batches[0]))",
        "test_runs.py",
    ),
    Mutation(
        "a file is called right that no runtime was shown",
        "fcconv/certificate/certify.py",
        "if made.holds and isinstance(rewritten, str | Path):",
        "if False:",
        "test_runs.py::test_names_given_twice",
    ),
    Mutation(
        "attributes compared by their print",
        "fcconv/graph/node.py",
        "proto.SerializeToString(deterministic=True) for proto in protos",
        "str(attribute).encode() for attribute in node.attributes.values()",
        f"{FORGERIES}::test_what_is_left_alone_is_compared_by_all_its_bytes",
    ),
    Mutation(
        "nodes of one name decide, not outputs",
        "fcconv/certificate/expected.py",
        "if alike and all(map(np.array_equal, results, outputs)):",
        "if False:",
        f"{FORGERIES}::test_a_bias_may_be_written_as_a_sum",
    ),
    Mutation(
        "an absolute end of a slice taken for local",
        "fcconv/graph/reshaping.py",
        "if end.fixed and 0 <= end.times < TO_THE_END:",
        "if False:",
        f"{FORGERIES}::test_what_shows_in_large_images_only_is_not_proved",
    ),
    Mutation(
        "windows of one axis taken for those of another",
        "fcconv/graph/local.py",
        "same = self.of == other.of and self.jump == other.jump",
        "same = self.jump == other.jump",
        f"{EXACT_PROOF}::test_windows_of_two_axes_are_told_apart",
    ),
    Mutation(
        "a batch that is shifted",
        "fcconv/graph/local.py",
        "sees == (other.first, other.last, 0, 0)",
        "True",
        f"{EXACT_PROOF}::test_images_stay_in_their_places",
    ),
    Mutation(
        "an axis split into runs that leave a rest",
        "fcconv/graph/local.py",
        "if number < 1 or self.of == 0 or (self.counts % number).any():",
        "if number < 1 or self.of == 0:",
        f"{EXACT_PROOF}::test_runs_that_leave_a_rest_are_not_local",
    ),
    Mutation(
        "padding in what is cut off its runs",
        "fcconv/graph/reshaping.py",
        "return entries.seeing(min(left) * jump, (max(left) + 1 - number) * jump)",
        "return entries",
        f"{EXACT_PROOF}::test_what_mixes_a_window_is_proved",
    ),
    Mutation(
        "a cost that is lost in the file",
        "fcconv/graph/rewriting/sliding.py",
        'rest |= {"ends": sliding.ends, "cost": vars(sliding.cost)}',
        "pass",
        f"{EXACT_PROOF}::test_every_window_is_proved",
    ),
    Mutation(
        "padding that is not noticed",
        "fcconv/graph/local.py",
        "after=max(self.after + after * self.jump, 0),",
        "after=0,",
        f"{FORGERIES}::test_what_shows_in_large_images_only_is_not_proved",
    ),
    Mutation(
        "margins that are believed",
        "fcconv/graph/rewriting/sliding.py",
        "if told != value:",
        'if told != value and name != "margins":',
        f"{FORGERIES}::test_a_network_is_not_believed_what_it_says_of_itself",
    ),
    Mutation(
        "the other branch of a constant If",
        "fcconv/graph/files/fold.py",
        '"then_branch" if condition.item() else "else_branch"',
        '"else_branch" if condition.item() else "then_branch"',
        "test_folding.py::test_constants_are_computed",
    ),
    Mutation(
        "random numbers are constants",
        "fcconv/graph/files/reference.py",
        "and node.op not in RANDOM",
        "and node.op not in ()",
        "test_folding.py::test_random_numbers_are_not",
    ),
    Mutation(
        "features of any length",
        "fcconv/certificate/layers.py",
        'shape[0 if product.attribute("transA", 0) else -1] = features',
        "del features",
        "test_pointwise_sizes.py::test_free_sizes_are_proved",
    ),
    Mutation(
        "bits of a file unread",
        "fcconv/images/preparation.py",
        "(bits or BITS[dtype])",
        "(BITS[dtype])",
        "test_images_tags.py::test_white_is_1_for_any_bits_of_a_tiff",
    ),
    Mutation(
        "a label taken for the image",
        "fcconv/images/tiff.py",
        "return not (beside or one.keyframe.subfiletype & MASK), _pixels(one)",
        "return True, _pixels(one)",
        "test_images_choices.py::test_a_label_is_not_the_image_though_it_is_larger",
    ),
    Mutation(
        "a volume is mirrored along the wrong axes",
        "fcconv/images/volumes.py",
        "np.flatnonzero(turns[:, 1] < 0)",
        "np.flatnonzero(turns[:, 1] > 0)",
        "test_volumes.py::test_volumes_are_turned_as_nibabel_turns_them",
    ),
    Mutation(
        "a volume lies by the edges of its voxels where its file tells their centres",
        "fcconv/images/volumes.py",
        "offset - linear.sum(axis=1) / 2",
        "offset",
        "test_volumes.py::test_a_voxel_of_a_head_that_lies_on_its_back",
    ),
    Mutation(
        "a volume is decompressed each time that it is opened",
        "fcconv/images/volumes.py",
        "voxels = _unpacked_files.get(state)",
        "voxels = None",
        "test_volumes.py::test_what_is_compressed_is_decompressed_once",
    ),
    Mutation(
        "scores of a volume lie where their windows begin",
        "fcconv/report/map_nifti.py",
        "matrix[:, -1] += matrix[:, :-1].sum(axis=1) / 2",
        "pass",
        "test_volumes.py::test_scores_lie_on_the_volume",
    ),
    Mutation(
        "the number of no data stays where 0 is white",
        "fcconv/images/tiff_colours.py",
        "most - nodata",
        "nodata",
        "test_documents.py::test_white_as_0",
    ),
    Mutation(
        "pages of several palettes are read by that of the first",
        "fcconv/images/tiff_pages.py",
        "if len(told) > 1:",
        "if False:",
        "test_documents.py::test_a_page_of_a_document",
    ),
    Mutation(
        "colours of a palette are cut to 8 bits at the wrong end",
        "fcconv/images/colours.py",
        "palette if palette.max() < 256 else palette >> 8",
        "palette",
        "test_documents.py::test_a_palette",
    ),
    Mutation(
        "orientation 6 turned the other way",
        "fcconv/images/tiff.py",
        "orientation in (3, 4, 6, 7)",
        "orientation in (3, 4, 7, 8)",
        "test_images_tags.py::test_orientation_of_a_tiff",
    ),
    Mutation(
        "types are mixed",
        "fcconv/graph/files/types.py",
        "if bound.setdefault(name, dtype) != dtype:",
        "if bound.setdefault(name, dtype) is None:",
        "test_load_graphs.py::test_a_broken_graph",
    ),
    Mutation(
        "shapes on the way are believed",
        "fcconv/graph/files/shapes.py",
        "value.shape = shape if producer is not None and producer.domain else None",
        "value.shape = shape",
        "test_pointwise_sizes.py::test_what_is_told_of_a_value_on_the_way_is_not_believed",
    ),
    Mutation(
        "an image of any size is run",
        "fcconv/graph/files/shapes.py",
        "if too_large or any(v.dtype",
        "if any(v.dtype",
        "test_mutated_networks.py::test_nothing_else_becomes_of_them",
    ),
    Mutation(
        "weights that a function shares are gathered in another order",
        "fcconv/functions/known.py",
        "numbers - self.starts[first], 0)",
        "numbers[..., ::-1] - self.starts[first], 0)",
        "test_slide.py::test_gradients_are_those_of_all_windows",
    ),
    Mutation(
        "padding of a function is shared",
        "fcconv/functions/sharing.py",
        "if self.exact and any(any(axis.pad_margin) for axis in x.axes):",
        "if False:",
        "test_slide.py::test_what_functions_are_made_of",
    ),
    Mutation(
        "a derivative of its own is lost",
        "fcconv/functions/trace.py",
        "None if entrywise else called(eqn)",
        "called(eqn)",
        "test_slide.py::test_a_derivative_of_its_own_is_kept",
    ),
    Mutation(
        "windows read their blocks a pixel too late",
        "fcconv/functions/windows.py",
        "i * (s // axis.step) for i, s",
        "i * (s // axis.step) + (i > 0) for i, s",
        "test_slide.py::test_what_functions_are_made_of",
    ),
    Mutation(
        "a tile without a score is not written",
        "fcconv/scanning/chunks.py",
        'WHOLE = {"write_empty_chunks": True}',
        'WHOLE = {"write_empty_chunks": False}',
        "test_scan_resume.py::test_tiles_without_a_score_are_finished",
    ),
    Mutation(
        "a bound without a rounding",
        "fcconv/certificate/bounds.py",
        "rounding = self.share * dot_bound(size, roundings, dtype)",
        "rounding = 0.0",
        "test_bounds.py::test_errors_stay_within_their_bounds",
    ),
    Mutation(
        "the target that computes forgets attributes",
        "fcconv/graph/running/computing.py",
        "self.opset, attributes or {})",
        "self.opset, {})",
        "test_targets.py",
    ),
    Mutation(
        "weights come home a place off",
        "fcconv/graph/rewriting/weights.py",
        "numbers = np.where(array >= FIRST_ENTRY, array - FIRST_ENTRY, -1)",
        "numbers = np.where(array > FIRST_ENTRY, array - FIRST_ENTRY - 1, -1)",
        "test_weights_home.py::test_other_weights_come_home",
    ),
    Mutation(
        "copies of a weight may differ",
        "fcconv/graph/rewriting/weights.py",
        "if not np.array_equal(entries[numbers[is_entry]], given[is_entry], equal_nan=True):",
        "if False:",
        "test_weights_home.py::test_copies_that_differ_are_refused",
    ),
    Mutation(
        "the last band of windows comes whole",
        "fcconv/functions/exact.py",
        "fresh = count - rows * (len(starts) - 1)",
        "fresh = rows",
        "test_slide.py::test_bands_of_windows_are_those_of_the_whole_image",
    ),
    Mutation(
        "a case for the other one",
        "fcconv/functions/composed.py",
        "[which, *cases[::-1]]",
        "[which, *cases]",
        "test_from_jax.py::test_the_network_computes_the_function",
    ),
    Mutation(
        "windows of a function that pads share nothing",
        "fcconv/functions/slide.py",
        "if self.exact and sharing.pads:",
        "if False:",
        "test_slide.py::test_windows_that_pad_share_most_multiplications",
    ),
    Mutation(
        "a device gets the pixels of the part before",
        "fcconv/functions/shard.py",
        "[(k + 1, k) for k in range(parts.devices - 1)]",
        "[(k, k + 1) for k in range(parts.devices - 1)]",
        "test_shard.py::test_on_eight_devices",
    ),
    Mutation(
        "OME-Zarr's translation is that of the first pixel's edge",
        "fcconv/images/ome_zarr.py",
        "t - s / 2 for",
        "t for",
        f"{OME}pixels_begin_half_a_pixel_before_their_centres",
    ),
    Mutation(
        "transformations of OME-Zarr in any order",
        "fcconv/images/ome_zarr.py",
        "t * float(f) + _finite(o)",
        "t + _finite(o)",
        f"{OME}transformations_of_the_whole_follow_those_of_a_level",
    ),
    Mutation(
        "coordinates of OME-Zarr in the order of its axes",
        "fcconv/images/ome_zarr.py",
        "return placed.along([places.index(axis) for axis in stored])",
        "return placed",
        f"{OME}axes_lie_in_the_order_of_their_names",
    ),
    Mutation(
        "a level of a pyramid without some planes",
        "fcconv/images/image.py",
        'if letter in ".C"]',
        'if letter in "C"]',
        f"{OME}a_pyramid_that_drops_planes_is_looked_at_where_it_has_all",
    ),
    Mutation(
        "a plane of a batch is that of the first image",
        "fcconv/scanning/batches.py",
        "images=[cut_out.job.images[number]]",
        "images=[cut_out.job.images[0]]",
        f"{OME}a_scan_of_all_planes_is_that_of_each",
    ),
    Mutation(
        "an image of a batch has all of its windows without a score",
        "fcconv/scanning/batches.py",
        "_without_score(scan, outputs) - outside if scan.unscored else 0",
        "scan.unscored",
        f"{OME}a_scan_of_all_planes_is_that_of_each",
    ),
    Mutation(
        "cells of a map begin at their centres",
        "fcconv/report/map_ome_zarr.py",
        "cells.at([0.5 for _ in pixels])",
        "cells.at([0.0 for _ in pixels])",
        f"{OME_MAP}a_cell_lies_where_the_centre_of_its_window_does",
    ),
    Mutation(
        "a map of an image without a place begins at its edge",
        "fcconv/report/map_ome_zarr.py",
        "if not (picture.is_placed and _runs_along(picture)):",
        "if not _runs_along(picture):",
        f"{OME_MAP}what_is_not_placed_or_is_turned_lies_at_distances_on_the_image",
    ),
    Mutation(
        "any folder is replaced",
        "fcconv/report/files.py",
        "if not owns(target):",
        "if not owns:",
        f"{OME_MAP}only_what_was_written_so_is_replaced",
    ),
    Mutation(
        "somebody's work in a map is replaced",
        "fcconv/report/map_ome_zarr.py",
        'return is_marked and {file.name for file in folder.iterdir()} == {"zarr.json", LEVEL}',
        "return is_marked",
        f"{OME_MAP}only_what_was_written_so_is_replaced",
    ),
]

if importlib.util.find_spec("torch") is not None:
    MUTATIONS += [
        Mutation(
            "PyTorch: a padded kernel as large as the input is a product, too",
            TORCH_CONV,
            "window.kernel == x.shape[2:] and not any(map(any, window.padding))",
            "window.kernel == x.shape[2:]",
            OF_TORCH + "a_kernel_as_large_as_its_input",
        ),
        Mutation(
            "PyTorch: padding with zeros wins",
            "backends/fcconv_torch/pooling.py",
            "-torch.inf",
            "0",
            MAX_POOL,
        ),
        Mutation(
            "PyTorch: unsigned integers have the order of signed ones",
            TORCH,
            "narrow(function(signed(x) ^ first) ^ first, x.dtype)",
            "narrow(function(signed(x)), x.dtype)",
            OF_TORCH + "unsigned_integers_are_those_of_numpy",
        ),
        Mutation(
            "PyTorch: tensors share the memory of NumPy's arrays",
            TORCH_DTYPES,
            "array = np.array(given,",
            "array = np.asarray(given,",
            OF_TORCH + "dtypes_are_named_as_in_numpy",
        ),
        Mutation(
            "PyTorch: a scan keeps what gradients need",
            TORCH,
            "return torch.no_grad()",
            "return torch.enable_grad()",
            OF_TORCH + "scans_keep_nothing_for_gradients",
        ),
        Mutation(
            "PyTorch: what a network makes of numbers lies on the CPU",
            TORCH_NETWORK,
            "        return nullcontext()\n    return device",
            "        return nullcontext()\n    return nullcontext()",
            OF_TORCH + "it_moves_as_a_module_does",
        ),
        Mutation(
            "PyTorch: a folder of parameters hides what a module has",
            TORCH_NETWORK,
            "if not folder or (found is None and hasattr(root, folder)):",
            "if not folder:",
            OF_TORCH + "names_that_modules_have_themselves_get_another_path",
        ),
        Mutation(
            "PyTorch: the weights of a compiled network are constants",
            TORCH_NETWORK,
            "self._traced(*self.params.values(), *inputs)",
            "self._traced(*(w.clone().detach() for w in self.params.values()), *inputs)",
            OF_TORCH + "networks_are_compiled_whole",
        ),
        Mutation(
            "PyTorch: pads are in the order of the axes",
            "backends/fcconv_torch/namespace.py",
            "for width in reversed(widths)",
            "for width in widths",
            OF_TORCH + "pads_are_those_of_numpy",
        ),
    ]


def unchanged_passes(tried: Sequence[Mutation]) -> bool:
    """Run every test that a mutation names, on a copy that nothing was done to."""
    with _copy_of_sources() as copy:
        return _passes(copy, *{mutation.test for mutation in tried})


def survives(mutation: Mutation) -> bool:
    """Run the mutation's test on a mutated copy of the sources; say whether it still passes."""
    with _copy_of_sources() as copy:
        target = copy / mutation.file
        source = target.read_text(encoding="utf-8")
        if source.count(mutation.old) != 1:
            raise ValueError(f"{mutation.name}: needs {mutation.old!r} once in {mutation.file}")
        target.write_text(source.replace(mutation.old, mutation.new), encoding="utf-8")
        return _passes(copy, mutation.test)


@contextmanager
def _copy_of_sources() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        for part in ("fcconv", "backends", "tests", "pyproject.toml"):
            (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(
                ROOT / part, Path(folder) / part
            )
        yield Path(folder)


def _passes(copy: Path, *tests: str) -> bool:
    paths = os.pathsep.join([str(copy), str(copy / "backends")])
    options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=mutants"]
    small = {name: value for name, value in os.environ.items() if name != "FCCONV_LARGE"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *(f"tests/{test}" for test in tests)],
        cwd=copy,
        env={**small, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):  # the tests neither passed nor failed
        raise RuntimeError(f"pytest ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.returncode == 0


if __name__ == "__main__":
    if not unchanged_passes(MUTATIONS):
        sys.exit("the tests fail without any mutation")
    alive = 0
    for mutation in MUTATIONS:
        survived = survives(mutation)
        alive += survived
        print(f"{'SURVIVED' if survived else 'killed':9}{mutation.name}", flush=True)  # noqa: T201
    sys.exit(1 if alive else 0)
