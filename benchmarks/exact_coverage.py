"""Which architectures of others score every window exactly.

``python -m benchmarks.exact_coverage`` prints a row for each. It needs torch==2.13.0 and
onnxscript, and with ``pip install --no-deps`` torchvision==0.28.0, timm==1.0.31, huggingface_hub
and safetensors. Weights are random, and so are the statistics of batch normalisations. Each network
is exported, rewritten with ``windows="exact"`` and run by onnxruntime on an image of two by three
windows; a row tells by how many standard deviations of the scores the windows differ from their
crops, how many times fewer multiplications they take, and where sharing ends.
"""

from __future__ import annotations

import argparse
import io
import logging
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime

import fcconv
from fcconv.errors import FcconvError

TORCHVISION = """
alexnet convnext_tiny densenet121
densenet169 efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3
efficientnet_b4 efficientnet_v2_s efficientnet_v2_m googlenet inception_v3 maxvit_t mnasnet0_5
mnasnet1_0 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small regnet_x_400mf regnet_x_8gf
regnet_y_400mf resnet18 resnet34 resnet50 resnet101 resnext50_32x4d
shufflenet_v2_x0_5 shufflenet_v2_x1_0 squeezenet1_0 squeezenet1_1 swin_t swin_v2_t vgg11
vgg11_bn vgg13 vgg16 vgg19 vit_b_16 vit_b_32 wide_resnet50_2
"""

TIMM = """
botnet26t_256 cait_xxs24_224 coat_tiny coatnet_nano_rw_224 convit_tiny convmixer_768_32
convnextv2_atto crossvit_tiny_240 cspdarknet53 cspresnet50 davit_tiny deit3_small_patch16_224
dla34 dm_nfnet_f0 dpn68 eca_nfnet_l0 ecaresnet26t edgenext_xx_small efficientformer_l1
efficientvit_b0 efficientvit_m0 fastvit_t8 focalnet_tiny_srf fbnetc_100 gernet_s ghostnet_100
gmlp_s16_224 halonet26t hardcorenas_a hgnet_tiny hrnet_w18_small inception_next_tiny
inception_resnet_v2 inception_v4 lambda_resnet26t levit_128s mixer_s16_224 mixnet_s mobileone_s0
mobilevit_xxs mobilevitv2_050 mvitv2_tiny nf_resnet50 nfnet_l0 pit_ti_224 poolformer_s12
pvt_v2_b0 repvgg_a0 res2net50_26w_4s resmlp_12_224 resnest14d resnetv2_50 rexnet_100 selecsls42
seresnet18 skresnet18 tf_efficientnet_lite0 tf_mixnet_s tinynet_a tnt_s_patch16_224 tresnet_m
twins_pcpvt_small vgg11 visformer_tiny vit_tiny_patch16_224 xception41 xcit_nano_12_p16_224
"""

CLASSES = 10


def main() -> None:
    """Print a row for each architecture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these, such as torchvision/resnet18")
    parser.add_argument("--size", type=int, default=64, help="pixels of a window, where it is free")
    parser.add_argument("--exporter", choices=["dynamo", "old"], default="dynamo")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    every = [f"torchvision/{name}" for name in TORCHVISION.split()]
    every += [f"timm/{name}" for name in TIMM.split()]
    for name in options.names or every:
        row = " | ".join([name, *_row(name, options.size, options.exporter)])
        sys.stdout.write(f"| {row} |\n")
        sys.stdout.flush()


def _row(name: str, size: int, exporter: str) -> list[str]:
    try:
        module, size = _module(name, size)
        model = _exported(module, size, exporter)
    except Exception as error:  # whatever a library or PyTorch's exporter hits
        return [f"not exported: {_first_line(error)}"]
    try:
        sliding = fcconv.convolutionize(model, stride=16, windows="exact")
    except FcconvError as error:
        return [f"{size}", f"refused: {_first_line(error)}"]
    try:
        apart, spread = _difference(model, sliding, size)
    except Exception as error:  # onnxruntime's errors have no common class
        return [f"{size}", f"does not run: {_first_line(error)}"]
    fewer = "" if sliding.cost is None else f"{sliding.cost.crops / sliding.cost.exact:.2f}"
    return [f"{size}", f"{apart / spread:.1e}", fewer, sliding.ends or "shares all"]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _module(name: str, size: int) -> tuple[Any, int]:
    """Make an architecture, for windows of a size or for those that it insists on."""
    library, _, architecture = name.partition("/")
    torch = _with_torchvision()
    torch.manual_seed(0)
    if library == "torchvision":
        torchvision: Any = import_module("torchvision")
        options: dict[str, Any] = {"num_classes": CLASSES}
        if architecture in ("googlenet", "inception_v3"):
            options |= {"init_weights": False, "aux_logits": False}
            size = max(size, 96)
        if architecture.startswith(("vit", "maxvit")):
            size, options["image_size" if architecture.startswith("vit") else "input_size"] = (
                (size, size) if architecture.startswith("vit") else (224, (224, 224))
            )
        made = getattr(torchvision.models, architecture)(weights=None, **options)
    else:
        timm: Any = import_module("timm")
        made = timm.create_model(architecture, num_classes=CLASSES)
        fixed = made.default_cfg.get("fixed_input_size") or "_224" in architecture
        size = made.default_cfg["input_size"][-1] if fixed else max(size, 96)
    _set_statistics(made, torch)
    return made.eval(), size


def _with_torchvision() -> Any:
    """Import PyTorch so that torchvision, built for another one, finds its operators declared."""
    torch: Any = import_module("torch")
    if "torchvision" not in sys.modules:
        operators = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(operators)
    return torch


_KEPT: list[Any] = []


def _set_statistics(module: Any, torch: Any) -> None:
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, torch.nn.BatchNorm2d) and part.running_mean is not None:
                shape = part.running_mean.shape
                part.running_mean.copy_(0.3 * torch.randn(shape, generator=draw))
                part.running_var.copy_(0.5 + torch.rand(shape, generator=draw))


def _exported(module: Any, size: int, exporter: str) -> onnx.ModelProto:
    torch: Any = import_module("torch")
    example = torch.zeros(2, 3, size, size)
    if exporter == "dynamo":
        sizes = ({0: torch.export.Dim("N")},)
        program: Any = torch.onnx.export(
            module, (example,), dynamo=True, dynamic_shapes=sizes, verbose=False
        )
        model: onnx.ModelProto = program.model_proto
        return model
    written = io.BytesIO()
    torch.onnx.export(
        module, (example,), written, dynamo=False, opset_version=17, input_names=["x"],
        dynamic_axes={"x": {0: "N"}},
    )  # fmt: skip
    return onnx.load_from_string(written.getvalue())


def _difference(model: Any, sliding: fcconv.Sliding, size: int) -> tuple[float, float]:
    """Compare two by three windows with their crops: the largest difference, and the spread."""
    image = np.random.default_rng(0).standard_normal((1, 3, size + 20, size + 35)).astype("f")
    (scores,) = _run(ir.to_proto(sliding.model), image)
    crops = np.concatenate([*_crops(image, size, sliding.stride[0], scores.shape[2:])])
    (expected,) = _run(model, crops)
    found = scores[0].reshape(CLASSES, -1).T
    return float(np.abs(found - expected).max()), float(expected.std()) or 1.0


def _crops(image: Any, size: int, stride: int, cells: tuple[int, ...]) -> Iterator[Any]:
    for i, j in np.ndindex(*cells):
        y, x = i * stride, j * stride
        yield image[:, :, y : y + size, x : x + size]


def _run(model: Any, image: Any) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return list(session.run(None, {session.get_inputs()[0].name: image}))


if __name__ == "__main__":
    main()
