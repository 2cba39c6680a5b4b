"""What the executor claims of ONNX's node tests (those of onnx 1.23), and what it does not."""

from __future__ import annotations

# fmt: off
CLAIMED = {
    # operators, some of their cases written out in simpler ones
    "Abs": 1, "Acos": 2, "Acosh": 2, "Add": 8, "And": 8, "ArgMax": 16, "ArgMin": 16, "Asin": 2,
    "Asinh": 2, "Atan": 2, "Atanh": 2, "AveragePool": 20, "BatchNormalization": 2, "BitShift":
    28, "BitwiseAnd": 4, "BitwiseNot": 3, "BitwiseOr": 4, "BitwiseXor": 4, "Cast": 32, "Ceil":
    2, "Celu": 3, "Clip": 24, "Concat": 12, "Constant": 1, "ConstantOfShape": 3, "Conv": 6,
    "Cos": 2, "Cosh": 2, "CumSum": 9, "DepthToSpace": 4, "DequantizeLinear": 4, "Div": 10,
    "Dropout": 6, "Elu": 3, "Equal": 8, "Erf": 1, "Exp": 2, "Expand": 2, "Flatten": 9, "Floor":
    2, "Gather": 4, "GatherND": 3, "Gelu": 4, "Gemm": 11, "GlobalAveragePool": 2,
    "GlobalMaxPool": 2, "Greater": 8, "GreaterOrEqual": 16, "GroupNormalization": 4,
    "HardSigmoid": 3, "HardSwish": 2, "Hardmax": 7, "Identity": 1, "InstanceNormalization": 2,
    "IsInf": 4, "IsNaN": 2, "LRN": 2, "LayerNormalization": 57, "LeakyRelu": 3, "Less": 8,
    "LessOrEqual": 16, "Log": 2, "LogSoftmax": 21, "LpNormalization": 6, "LpPool": 8, "MatMul":
    7, "Max": 14, "MaxPool": 17, "Mean": 3, "Min": 14, "Mish": 2, "Mod": 19, "Mul": 9, "Neg": 2,
    "Or": 8, "PRelu": 2, "Pad": 6, "Pow": 12, "QuantizeLinear": 4, "Range": 4, "Reciprocal": 2,
    "ReduceL1": 18, "ReduceL2": 9, "ReduceLogSum": 10, "ReduceLogSumExp": 9, "ReduceMax": 11,
    "ReduceMean": 8, "ReduceMin": 10, "ReduceProd": 9, "ReduceSum": 12, "ReduceSumSquare": 18,
    "Relu": 1, "Reshape": 10, "Resize": 6, "Round": 1, "Selu": 3, "Shape": 11, "Shrink": 2,
    "Sigmoid": 2, "Sign": 1, "Sin": 2, "Sinh": 2, "Size": 2, "Slice": 8, "Softmax": 21,
    "Softplus": 2, "Softsign": 2, "SpaceToDepth": 8, "Split": 16, "Sqrt": 2, "Squeeze": 2,
    "Sub": 9, "Sum": 3, "Swish": 1, "Tan": 2, "Tanh": 2, "ThresholdedRelu": 3, "Tile": 2,
    "Transpose": 7, "Unsqueeze": 7, "Upsample": 1, "Where": 2, "Xor": 8,
    # functions of ONNX, written out in operators
    "BlackmanWindow": 2, "CastLike": 30, "CausalConvWithState": 3, "CenterCropPad": 6,
    "DynamicQuantizeLinear": 3, "HammingWindow": 2, "HannWindow": 2,
    "MeanVarianceNormalization": 2, "RMSNormalization": 19, "RotaryEmbedding": 8, "SwiGLU": 3,
    "ai.onnx.preview.FlexAttention": 11,
}
"""Cases an operator: all whose nodes are known and whose values are numbers, less exceptions."""
# fmt: on

WITHOUT_CASE = {
    "GlobalLpPool": "ONNX has no case of it",
    "Not": "its cases are of opset 1, see below",
}
"""Operators of which no case can be claimed."""

EXCEPTIONS = {
    "test_batchnorm_*_training_mode": "training: the statistics are those of the batch",
    "test_cast*_to_FLOAT[48]*": "makes floats of a byte or less",
    "test_cast*_to_*INT[24]*": "makes integers of less than a byte",
    "test_*quantizelinear_blocked*": "scales block by block",
    "test_*quantizelinear_e[45]m*": "floats of a byte",
    "test_*quantizelinear_float4e2m1": "floats of half a byte",
    "test_*quantizelinear_*int[24]": "integers of less than a byte",
    "test_maxpool_with_argmax_*": "asks for the places of the maxima too",
    "test_not_?d": "of opset 1, older than the oldest that is read",
    "test_resize_*_not_*": "keeps the aspect ratio",
    "test_resize_*cubic*": "makes new pixels",
    "test_resize_*linear*": "makes new pixels",
    "test_resize_downsample_*_nearest": "not by a whole factor",
    "test_resize_tf_crop_and_resize*": "makes new pixels",
    "test_resize_upsample_sizes_nearest": "not by a whole factor",
    "test_resize_upsample_sizes_nearest_axes*": "not by a whole factor",
    "test_training_dropout*": "training: entries are dropped at random",
}
"""Cases that are refused, by a pattern of their names, and why."""

OTHER_TYPES = {
    "test_equal_string": "compares strings",
    "test_equal_string_broadcast": "compares strings",
    "test_identity_opt": "passes an optional on",
    "test_identity_sequence": "passes a sequence on",
}
"""Cases whose nodes are known, but whose values are no tensors of numbers or booleans."""
