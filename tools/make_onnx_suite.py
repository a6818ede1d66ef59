#!/usr/bin/env python3
"""Write the ONNX files that `tests/onnx.rs` imports, with outputs of ONNX Runtime beside them.

How to run it (some seconds):

    python3 -m venv venv
    venv/bin/pip install onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
    venv/bin/python tools/make_onnx_suite.py tests/onnx

There is at least one small file for each operator and variant of it (`op-*.onnx`), and small
networks (`net-*.onnx`). Weights and inputs are random, from a seed that is the name of the file.
Beside `x.onnx` lies `x.json`: `inputs`, one flat list for each sample, and `outputs`, what ONNX
Runtime makes of them, in float32. Files of recurrent networks have one sequence for each sample
and say how many entries a frame has (`frame`).
"""

import argparse
import json
import pathlib
import zlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SAMPLES = 6


class File:
    """Collects the nodes of one file."""

    def __init__(self, name, shape, opset=17, spread=1.0, least=None, symbolic=True, time=None):
        self.name = name
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.shape = list(shape)
        self.opset = opset
        self.spread = spread
        self.least = least
        self.symbolic = symbolic
        self.time = time
        self.nodes = []
        self.initializers = []
        self.count = 0
        self.frame = None

    def const(self, value, dtype=np.float32, name=None):
        self.count += 1
        name = name or f"c{self.count}"
        value = np.asarray(value, dtype=dtype)
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def ints(self, *values):
        return self.const(values, np.int64)

    def weight(self, *shape, gain=None):
        fan = int(np.prod(shape[1:])) if len(shape) > 1 else 1
        gain = gain if gain is not None else (1.4 / np.sqrt(max(fan, 1)) if len(shape) > 1 else 0.2)
        return self.const(self.rng.normal(size=shape) * gain)

    def positive(self, *shape):
        return self.const(self.rng.uniform(0.5, 1.5, size=shape))

    def op(self, kind, *inputs, outputs=1, names=None, **attributes):
        if names is None:
            self.count += 1
            names = [f"v{self.count}" + (f"_{i}" if i else "") for i in range(outputs)]
        node = helper.make_node(kind, list(inputs), names, name=f"{kind.lower()}{len(self.nodes)}", **attributes)
        self.nodes.append(node)
        return names[0] if len(names) == 1 else names

    # Layers.
    def linear(self, x, inputs, outputs):
        return self.op("Gemm", x, self.weight(outputs, inputs), self.weight(outputs), transB=1)

    def conv(self, x, inputs, outputs, kernel, bias=True, groups=1, **attributes):
        kernel = list(kernel) if isinstance(kernel, (tuple, list)) else [kernel] * 2
        w = self.weight(outputs, inputs // groups, *kernel)
        operands = [x, w] + ([self.weight(outputs)] if bias else [])
        return self.op("Conv", *operands, kernel_shape=kernel, group=groups, **attributes)

    def norm(self, x, channels):
        return self.op(
            "BatchNormalization", x, self.positive(channels), self.weight(channels), self.weight(channels), self.positive(channels)
        )

def save(f, y, directory):
    """Check the file of `f` with output `y`, run it, write both."""
    declared = list(f.shape)
    if f.symbolic:
        declared[declared.index(1)] = "N"
    if f.time is not None:
        declared[f.time] = "time"
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, declared)]
    graph = helper.make_graph(f.nodes, f.name, inputs, [onnx.ValueInfoProto(name=y)], f.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", f.opset)], ir_version=8, producer_name="layerfold")
    # Types and shapes of outputs are not part of what is written down above.
    inferred = onnx.shape_inference.infer_shapes(model)
    known = {o.name: o for o in inferred.graph.output}
    output = known[y]
    if not output.type.HasField("tensor_type"):
        output = helper.make_tensor_value_info(y, TensorProto.FLOAT, None)
    del model.graph.output[:]
    model.graph.output.append(output)
    onnx.checker.check_model(model)
    path = directory / f"{f.name}.onnx"
    path.write_bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    samples, results = [], []
    for k in range(SAMPLES):
        shape = list(f.shape)
        if f.time is not None:
            shape[f.time] += k
        x = f.rng.normal(size=shape) * f.spread
        if f.least is not None:
            x = np.abs(x) + f.least
        x = x.astype(np.float32)
        result = session.run([y], {"x": x})[0]
        samples.append([round(float(v), 9) for v in x.ravel()])
        results.append([float(f"{v:.8g}") for v in np.asarray(result, dtype=np.float64).ravel()])
        assert np.isfinite(results[-1]).all(), f.name
    record = {"inputs": samples, "outputs": results}
    if f.frame is not None:
        record["frame"] = f.frame
    (directory / f"{f.name}.json").write_text(json.dumps(record, separators=(",", ":")) + "\n")


FILES = []


def file(shape, **options):
    """Registers a function that writes the nodes of a file and returns its output."""

    def register(write):
        name = write.__name__.replace("_", "-")
        FILES.append((name, shape, options, write))
        return write

    return register


def operator(name, shape, write, **options):
    FILES.append((f"op-{name}", shape, options, write))


# Matrices.
operator("gemm", (1, 6), lambda f: f.linear("x", 6, 4))
operator("gemm-plain", (1, 6), lambda f: f.op("Gemm", "x", f.weight(6, 4)))
operator("gemm-scaled", (1, 6), lambda f: f.op("Gemm", "x", f.weight(6, 4), f.weight(4), alpha=0.5, beta=2.0))
operator("gemm-trans-a", (6, 1), lambda f: f.op("Gemm", "x", f.weight(6, 4), f.weight(1, 4), transA=1), symbolic=False)
operator("gemm-left", (6, 2), lambda f: f.op("Gemm", f.weight(3, 6), "x", f.weight(3, 1)), symbolic=False)
operator("gemm-left-transposed", (2, 6), lambda f: f.op("Gemm", f.weight(6, 3), "x", f.const(0.3), transA=1, transB=1, alpha=1.5), symbolic=False)
operator("gemm-column", (3, 6), lambda f: f.op("Gemm", "x", f.weight(6, 4), f.weight(3, 1), beta=0.5), symbolic=False)
operator("matmul", (1, 6), lambda f: f.op("MatMul", "x", f.weight(6, 4)))
operator("matmul-last-axis", (1, 3, 6), lambda f: f.op("MatMul", "x", f.weight(6, 4)))
operator("matmul-left", (1, 6, 3), lambda f: f.op("MatMul", f.weight(4, 6), "x"))
operator("matmul-vector", (1, 6), lambda f: f.op("MatMul", "x", f.weight(6)))
operator("matmul-vector-left", (1, 6, 3), lambda f: f.op("MatMul", f.weight(6), "x"))
operator("matmul-batch-left", (1, 2, 3, 4), lambda f: f.op("MatMul", f.weight(1, 2, 5, 3), "x"))
operator("matmul-batch", (1, 2, 3, 4), lambda f: f.op("MatMul", "x", f.weight(1, 2, 4, 3)))

# Convolutions.
operator("conv", (1, 2, 5, 5), lambda f: f.conv("x", 2, 3, 3))
operator("conv-no-bias", (1, 2, 5, 5), lambda f: f.conv("x", 2, 3, 3, bias=False))
operator("conv-stride", (1, 2, 7, 6), lambda f: f.conv("x", 2, 3, 3, strides=[2, 1]))
operator("conv-pads", (1, 2, 5, 5), lambda f: f.conv("x", 2, 3, 3, pads=[1, 0, 2, 1]))
operator("conv-dilation", (1, 2, 7, 7), lambda f: f.conv("x", 2, 2, 3, dilations=[2, 3]))
operator("conv-groups", (1, 4, 5, 5), lambda f: f.conv("x", 4, 6, 3, groups=2, pads=[1, 1, 1, 1]))
operator("conv-depthwise", (1, 4, 5, 5), lambda f: f.conv("x", 4, 4, 3, groups=4, pads=[1, 1, 1, 1], strides=[2, 2]))
operator("conv-same-upper", (1, 2, 6, 5), lambda f: f.conv("x", 2, 2, (2, 3), auto_pad="SAME_UPPER", strides=[2, 2]))
operator("conv-same-lower", (1, 2, 6, 5), lambda f: f.conv("x", 2, 2, (2, 3), auto_pad="SAME_LOWER", strides=[2, 2]))
operator("conv-valid", (1, 2, 6, 5), lambda f: f.conv("x", 2, 2, 3, auto_pad="VALID"))
operator("conv-same-upper-odd", (1, 1, 7, 6), lambda f: f.conv("x", 1, 2, (4, 5), auto_pad="SAME_UPPER", strides=[3, 4]))
operator("conv-1d-same-lower", (1, 2, 8), lambda f: f.conv("x", 2, 2, (4,), auto_pad="SAME_LOWER"))
operator("conv-3d", (1, 1, 3, 4, 3), lambda f: f.conv("x", 1, 2, (2, 3, 2), pads=[1, 0, 0, 0, 1, 1], strides=[1, 2, 1]))
operator("conv-1d", (1, 2, 9), lambda f: f.conv("x", 2, 3, (3,), strides=[2], pads=[1, 1]))
operator("conv-1d-dilation", (1, 2, 9), lambda f: f.conv("x", 2, 3, (3,), dilations=[2], groups=1))
operator("conv-batch", (2, 2, 4, 4), lambda f: f.conv("x", 2, 2, 3), symbolic=False)
operator("batch-norm", (1, 3, 4, 4), lambda f: f.norm("x", 3))
operator("batch-norm-1d", (1, 3, 5), lambda f: f.op("BatchNormalization", "x", f.positive(3), f.weight(3), f.weight(3), f.positive(3), epsilon=0.25), opset=9)
operator("batch-norm-dense", (1, 6), lambda f: f.norm("x", 6))

# Arithmetic.
operator("add-const", (1, 6), lambda f: f.op("Add", "x", f.weight(6)))
operator("add-broadcast", (1, 3, 2, 2), lambda f: f.op("Add", f.weight(3, 1, 1), "x"))
operator("add-wider-const", (1, 4), lambda f: f.op("Add", "x", f.weight(3, 4)), symbolic=False)
operator("add-residual", (1, 6), lambda f: f.op("Add", "x", f.op("Relu", f.linear("x", 6, 6))))
operator("add-residual-broadcast", (1, 3, 4), lambda f: f.op("Add", "x", f.op("ReduceMean", "x", axes=[2], keepdims=1)))
operator("sub", (1, 6), lambda f: f.op("Sub", "x", f.weight(6)))
operator("sub-from-const", (1, 6), lambda f: f.op("Sub", f.const(1.0), "x"))
operator("sub-values", (1, 6), lambda f: f.op("Sub", f.op("Relu", "x"), "x"))
operator("mul-const", (1, 3, 2, 2), lambda f: f.op("Mul", "x", f.weight(1, 3, 1, 1, gain=1.0)))
operator("mul-values", (1, 6), lambda f: f.op("Mul", f.linear("x", 6, 6), f.linear("x", 6, 6)))
operator("mul-broadcast", (1, 3, 2, 2), lambda f: f.op("Mul", "x", f.op("GlobalAveragePool", "x")))
operator("div-const", (1, 6), lambda f: f.op("Div", "x", f.positive(6)))
operator("div-quotient", (1, 6), lambda f: f.op("Div", "x", f.op("Add", f.op("Exp", f.op("Neg", "x")), f.const(1.0))))
operator("mul-wider-const", (1, 4), lambda f: f.op("Mul", "x", f.weight(3, 4)), symbolic=False)
operator("neg", (1, 6), lambda f: f.op("Neg", "x"))
operator("sum", (1, 6), lambda f: f.op("Sum", "x", f.op("Relu", "x"), f.weight(6)))
operator("mean", (1, 6), lambda f: f.op("Mean", "x", f.op("Relu", "x"), f.weight(6)))
operator("max-values", (1, 6), lambda f: f.op("Max", f.linear("x", 6, 4), f.linear("x", 6, 4)))
operator("min-values", (1, 6), lambda f: f.op("Min", f.linear("x", 6, 4), f.linear("x", 6, 4)))
operator("max-const", (1, 6), lambda f: f.op("Max", "x", f.weight(6)))
operator("min-scalar", (1, 6), lambda f: f.op("Min", "x", f.const(0.25)))
operator("max-three", (1, 6), lambda f: f.op("Max", "x", f.const(-0.5), f.linear("x", 6, 6)))
operator("min-three", (1, 6), lambda f: f.op("Min", f.linear("x", 6, 6), f.weight(6), "x"))
operator("pow-three", (1, 6), lambda f: f.op("Pow", "x", f.const(3, np.int64)))
operator("where", (1, 6), lambda f: f.op("Where", f.const([True, False, True, True, False, False], np.bool_), "x", f.op("Neg", f.op("Relu", "x"))))
operator("pow", (1, 6), lambda f: f.op("Pow", "x", f.const(2.0)))
operator("sqrt", (1, 6), lambda f: f.op("Sqrt", "x"), least=0.2)
operator("abs", (1, 6), lambda f: f.op("Abs", "x"))
operator("exp", (1, 6), lambda f: f.op("Exp", "x"))
operator("square-product", (1, 6), lambda f: f.op("Mul", "x", "x"))

# Functions.
operator("relu", (1, 6), lambda f: f.op("Relu", f.linear("x", 6, 8)))
operator("leaky-relu", (1, 6), lambda f: f.op("LeakyRelu", "x", alpha=0.1))
operator("leaky-relu-default", (1, 6), lambda f: f.op("LeakyRelu", "x"))
operator("prelu", (1, 3, 2, 2), lambda f: f.op("PRelu", "x", f.positive(3, 1, 1)))
operator("prelu-scalar", (1, 6), lambda f: f.op("PRelu", "x", f.const([0.25])))
operator("clip", (1, 6), lambda f: f.op("Clip", "x", f.const(0.0), f.const(6.0)), spread=4.0)
operator("clip-attributes", (1, 6), lambda f: f.op("Clip", "x", min=-1.0, max=1.0), opset=9)
operator("clip-max-only", (1, 6), lambda f: f.op("Clip", "x", "", f.const(0.5)))
operator("clip-min-only", (1, 6), lambda f: f.op("Clip", "x", f.const(-0.5)), opset=11)
operator("sigmoid", (1, 6), lambda f: f.op("Sigmoid", f.linear("x", 6, 6)))
operator("hard-sigmoid", (1, 6), lambda f: f.op("HardSigmoid", "x", alpha=0.25, beta=0.4), spread=2.0)
operator("hard-sigmoid-default", (1, 6), lambda f: f.op("HardSigmoid", "x"), spread=2.0)
operator("hard-swish", (1, 6), lambda f: f.op("HardSwish", "x"), spread=2.0)
operator("tanh", (1, 6), lambda f: f.op("Tanh", "x"))
operator("gelu", (1, 6), lambda f: f.op("Gelu", "x"), opset=20)
operator("gelu-tanh", (1, 6), lambda f: f.op("Gelu", "x", approximate="tanh"), opset=20)
operator("erf", (1, 6), lambda f: f.op("Erf", "x"))
operator("elu", (1, 6), lambda f: f.op("Elu", "x", alpha=0.7))
operator("elu-default", (1, 6), lambda f: f.op("Elu", "x"))
operator("celu", (1, 6), lambda f: f.op("Celu", "x", alpha=0.6))
operator("selu-parameters", (1, 6), lambda f: f.op("Selu", "x", alpha=1.2, gamma=0.8))
operator("selu", (1, 6), lambda f: f.op("Selu", "x"))
operator("softplus", (1, 6), lambda f: f.op("Softplus", "x"))
operator("softsign", (1, 6), lambda f: f.op("Softsign", "x"))
operator("mish", (1, 6), lambda f: f.op("Mish", "x"), opset=18)
operator("softmax", (1, 6), lambda f: f.op("Softmax", f.linear("x", 6, 4), axis=-1))
operator("log-softmax", (1, 6), lambda f: f.op("LogSoftmax", f.linear("x", 6, 4), axis=1))
operator("softmax-axes", (1, 2, 3), lambda f: f.op("Softmax", "x"), opset=11)
operator("softmax-axis", (1, 4, 3), lambda f: f.op("Softmax", "x", axis=1))
operator("argmax-keep", (1, 6), lambda f: f.op("ArgMax", f.op("Softmax", f.linear("x", 6, 4)), axis=-1))
operator("argmax", (1, 6), lambda f: f.op("ArgMax", f.linear("x", 6, 4), axis=1, keepdims=0))


def gelu_parts(f, x):
    erf = f.op("Erf", f.op("Div", x, f.const(1.4142135381698608)))
    return f.op("Mul", f.op("Mul", x, f.op("Add", erf, f.const(1.0))), f.const(0.5))


def gelu_parts_half_first(f, x):
    erf = f.op("Erf", f.op("Mul", x, f.const(0.7071067690849304)))
    return f.op("Mul", f.op("Mul", x, f.const(0.5)), f.op("Add", f.const(1.0), erf))


def silu(f, x):
    return f.op("Mul", x, f.op("Sigmoid", x))


def mish_parts(f, x):
    return f.op("Mul", x, f.op("Tanh", f.op("Softplus", x)))


def hard_swish_parts(f, x):
    return f.op("Div", f.op("Mul", x, f.op("Clip", f.op("Add", x, f.const(3.0)), f.const(0.0), f.const(6.0))), f.const(6.0))


operator("gelu-parts", (1, 6), lambda f: gelu_parts(f, f.linear("x", 6, 6)))
operator("gelu-parts-half-first", (1, 6), lambda f: gelu_parts_half_first(f, "x"))
operator("silu", (1, 6), lambda f: silu(f, f.linear("x", 6, 6)))
operator("mish-parts", (1, 6), lambda f: mish_parts(f, "x"))
operator("hard-swish-parts", (1, 6), lambda f: hard_swish_parts(f, "x"), spread=2.0)

# Shapes.
operator("flatten", (1, 2, 3), lambda f: f.linear(f.op("Flatten", "x"), 6, 3))
operator("flatten-axis", (1, 2, 3), lambda f: f.op("Flatten", "x", axis=2), symbolic=False)
operator("flatten-negative", (1, 2, 3, 2), lambda f: f.op("Flatten", "x", axis=-1), symbolic=False)
operator("flatten-all", (1, 2, 3), lambda f: f.op("Flatten", "x", axis=0), symbolic=False)
operator("reshape", (1, 2, 6), lambda f: f.op("Reshape", "x", f.ints(0, 3, -1)))
operator("transpose", (1, 2, 3), lambda f: f.op("Transpose", "x", perm=[0, 2, 1]))
operator("transpose-default", (1, 2, 3), lambda f: f.op("Transpose", "x"), symbolic=False)
operator("squeeze", (1, 1, 6), lambda f: f.op("Squeeze", "x", f.ints(1)))
operator("squeeze-attribute", (1, 1, 6), lambda f: f.op("Squeeze", "x", axes=[-2]), opset=11)
operator("squeeze-all", (1, 1, 6), lambda f: f.op("Squeeze", "x"), symbolic=False)
operator("squeeze-negative", (1, 2, 1, 3), lambda f: f.op("Squeeze", "x", f.ints(-2)))
operator("unsqueeze-attribute", (1, 6), lambda f: f.op("Unsqueeze", "x", axes=[-1, 1]), opset=11)
operator("unsqueeze", (1, 6), lambda f: f.op("Unsqueeze", "x", f.ints(1, -1)))
operator("slice", (1, 4, 6), lambda f: f.op("Slice", "x", f.ints(1, -1), f.ints(4, -7), f.ints(1, 2), f.ints(2, -2)))
operator("slice-reversed", (1, 5), lambda f: f.op("Slice", "x", f.ints(100), f.ints(-100), f.ints(-1), f.ints(-2)))
operator("slice-all-axes", (1, 4, 6), lambda f: f.op("Slice", "x", f.ints(0, 1, -4), f.ints(1, np.iinfo(np.int64).max, -1)))
operator("slice-attributes", (1, 4, 6), lambda f: f.op("Slice", "x", starts=[1, -3], ends=[3, 100], axes=[1, 2]), opset=9)
operator("concat", (1, 2, 3), lambda f: f.op("Concat", "x", f.op("Relu", "x"), f.weight(1, 1, 3), axis=1))
operator("pad", (1, 2, 3, 3), lambda f: f.op("Pad", "x", f.ints(0, 0, 1, 2, 0, 1, 0, 1), f.const(0.5)))
operator("pad-attributes", (1, 2, 3, 3), lambda f: f.op("Pad", "x", pads=[0, 0, 1, 2, 0, 0, 0, 1], value=-1.0), opset=10)
operator("concat-negative", (1, 2, 3), lambda f: f.op("Concat", f.weight(1, 2, 1), "x", axis=-1))
operator("pad-axes", (1, 2, 3, 3), lambda f: f.op("Pad", "x", f.ints(1, 0, 0, 2), f.const(-0.5), f.ints(-1, 2)), opset=18)
operator("pad-reflect", (1, 1, 3, 4), lambda f: f.op("Pad", "x", f.ints(0, 0, 2, 1, 0, 0, 1, 3), mode="reflect"))
operator("pad-edge", (1, 1, 3, 4), lambda f: f.op("Pad", "x", f.ints(0, 0, 2, 0, 0, 0, 1, 3), mode="edge"))
operator("pad-crop", (1, 1, 5), lambda f: f.op("Pad", "x", f.ints(0, 0, -1, 0, 0, 2)))
operator("split", (1, 7), lambda f: f.op("Sub", *f.op("Split", f.op("Slice", "x", f.ints(0), f.ints(6), f.ints(1)), f.ints(3, 3), axis=1, outputs=2)))
operator("split-even", (1, 6), lambda f: f.op("Add", *f.op("Split", "x", axis=1, outputs=2)), opset=13)
operator("split-attribute", (1, 6), lambda f: f.op("Mul", *f.op("Split", "x", axis=-1, split=[3, 3], outputs=2)), opset=11)
operator("split-uneven", (1, 7), lambda f: f.op("Concat", *f.op("Split", "x", axis=1, num_outputs=3, outputs=3)[::-1], axis=1), opset=18)
operator("identity", (1, 6), lambda f: f.op("Identity", f.op("Dropout", f.op("Cast", "x", to=TensorProto.FLOAT))))
operator("expand", (1, 3, 1), lambda f: f.op("Expand", "x", f.ints(3, 4)))
operator("tile", (1, 3), lambda f: f.op("Tile", "x", f.ints(1, 2)))
operator("gather", (1, 4, 3), lambda f: f.op("Gather", "x", f.ints(2, -1, 0), axis=1))
operator("gather-scalar", (1, 4, 3), lambda f: f.op("Gather", "x", f.const(-1, np.int64), axis=1))
operator("gather-matrix", (1, 4, 3), lambda f: f.op("Gather", "x", f.const([[0, -1], [2, 2]], np.int64), axis=-1))
operator("expand-lower", (1, 3, 1), lambda f: f.op("Expand", "x", f.ints(2)))
operator("reduce-mean", (1, 3, 4), lambda f: f.op("ReduceMean", "x", axes=[-1], keepdims=0))
operator("reduce-mean-input", (1, 3, 4), lambda f: f.op("ReduceMean", "x", f.ints(1), keepdims=1), opset=18)
operator("reduce-mean-all", (1, 3, 4), lambda f: f.op("ReduceMean", "x", keepdims=0))
operator("reduce-sum", (1, 3, 4), lambda f: f.op("ReduceSum", "x", f.ints(1, 2), keepdims=1))
operator("reduce-sum-attribute", (1, 3, 4), lambda f: f.op("ReduceSum", "x", axes=[-2], keepdims=0), opset=11)
operator("reduce-sum-noop", (1, 3, 4), lambda f: f.op("ReduceSum", "x", f.ints(), noop_with_empty_axes=1))
operator("reduce-sum-empty", (1, 3, 4), lambda f: f.op("ReduceSum", "x", f.ints()))
operator("reduce-mean-keep", (1, 3, 4), lambda f: f.op("ReduceMean", "x", axes=[1, -1]))
operator("space-to-depth", (1, 2, 4, 2), lambda f: f.op("SpaceToDepth", "x", blocksize=2))
operator("depth-to-space", (1, 4, 2, 3), lambda f: f.op("DepthToSpace", "x", blocksize=2, mode="DCR"))
operator("depth-to-space-crd", (1, 4, 2, 3), lambda f: f.op("DepthToSpace", "x", blocksize=2, mode="CRD"))
operator("resize-nearest", (1, 2, 2, 3), lambda f: f.op("Resize", "x", "", f.const([1, 1, 2, 2]), mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"))
operator("resize-half-pixel", (1, 1, 3, 2), lambda f: f.op("Resize", "x", "", f.const([1, 1, 1.7, 2.5])))
operator("resize-sizes", (1, 1, 4, 3), lambda f: f.op("Resize", "x", "", "", f.ints(1, 1, 7, 5), coordinate_transformation_mode="asymmetric", nearest_mode="ceil"))
operator("resize-corners", (1, 1, 4, 3), lambda f: f.op("Resize", "x", "", "", f.ints(1, 1, 6, 4), coordinate_transformation_mode="align_corners", nearest_mode="round_prefer_ceil"))
operator("resize-down", (1, 1, 10, 9), lambda f: f.op("Resize", "x", "", f.const([1, 1, 0.7, 1 / 3]), coordinate_transformation_mode="asymmetric", nearest_mode="floor"))
operator("resize-pytorch", (1, 1, 5, 3), lambda f: f.op("Resize", "x", "", "", f.ints(1, 1, 3, 1), coordinate_transformation_mode="pytorch_half_pixel"))
operator("resize-10", (1, 1, 2, 3), lambda f: f.op("Resize", "x", f.const([1, 1, 2, 3])), opset=10)
operator("upsample", (1, 1, 2, 3), lambda f: f.op("Upsample", "x", f.const([1, 1, 2, 2])), opset=9)
operator("conv-transpose-asymmetric", (1, 4, 3, 2), lambda f: f.op("ConvTranspose", "x", f.weight(4, 2, 3, 2, gain=0.3), strides=[2, 3], pads=[1, 0, 0, 1], dilations=[2, 1], group=2))
operator("conv-transpose-1d", (1, 2, 4), lambda f: f.op("ConvTranspose", "x", f.weight(2, 1, 3, gain=0.3), f.weight(1), strides=[3], output_padding=[2]))
operator("conv-transpose", (1, 2, 3, 3), lambda f: f.op("ConvTranspose", "x", f.weight(2, 3, 3, 3, gain=0.3), f.weight(3), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]))


@file((1, 2, 3, 2))
def op_shape_arithmetic(f):
    """What PyTorch writes for `x.view(x.size(0), x.size(1), -1)`."""
    shape = f.op("Shape", "x")
    sizes = [f.op("Unsqueeze", f.op("Gather", shape, f.const(k, np.int64)), f.ints(0)) for k in (0, 1)]
    return f.op("Reshape", "x", f.op("Concat", *sizes, f.ints(-1), axis=0))


@file((1, 4))
def op_folded(f):
    """Constants that are computed in the file."""
    zeros = f.op("ConstantOfShape", f.ints(4), value=helper.make_tensor("v", TensorProto.FLOAT, [1], [0.5]))
    count = f.op("Cast", f.op("Range", f.const(0, np.int64), f.const(4, np.int64), f.const(1, np.int64)), to=TensorProto.FLOAT)
    slope = f.op("Constant", value_float=0.25)
    return f.op("Add", f.op("Mul", "x", f.op("Mul", count, slope)), zeros)


# Pools.
operator("average-pool", (1, 2, 4, 4), lambda f: f.op("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2]))
operator("average-pool-pads", (1, 2, 5, 5), lambda f: f.op("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]))
operator("average-pool-include", (1, 2, 5, 5), lambda f: f.op("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1))
operator("average-pool-ceil", (1, 1, 6, 6), lambda f: f.op("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1), opset=19)
operator("average-pool-same", (1, 1, 5, 5), lambda f: f.op("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_UPPER"))
operator("average-pool-same-lower", (1, 1, 5, 4), lambda f: f.op("AveragePool", "x", kernel_shape=[2, 3], strides=[1, 2], auto_pad="SAME_LOWER"))
operator("average-pool-same-include", (1, 1, 5, 4), lambda f: f.op("AveragePool", "x", kernel_shape=[2, 3], auto_pad="SAME_UPPER", count_include_pad=1))
operator("average-pool-asymmetric", (1, 1, 5, 5), lambda f: f.op("AveragePool", "x", kernel_shape=[3, 2], strides=[2, 2], pads=[0, 1, 2, 0], count_include_pad=1))
operator("average-pool-ceil-pads", (1, 1, 6, 7), lambda f: f.op("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0], ceil_mode=1), opset=19)
operator("average-pool-ceil-include", (1, 1, 6, 6), lambda f: f.op("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 1, 0, 1], ceil_mode=1, count_include_pad=1), opset=19)
operator("average-pool-dilation", (1, 1, 6, 6), lambda f: f.op("AveragePool", "x", kernel_shape=[2, 3], dilations=[2, 2], pads=[1, 1, 1, 1]), opset=19)
operator("average-pool-1d", (1, 2, 6), lambda f: f.op("AveragePool", "x", kernel_shape=[3]))
operator("global-average-pool", (1, 3, 3, 4), lambda f: f.op("GlobalAveragePool", "x"))
operator("max-pool", (1, 2, 4, 4), lambda f: f.op("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2]))
operator("max-pool-overlap", (1, 1, 5, 5), lambda f: f.op("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]))
operator("max-pool-ceil", (1, 1, 6, 6), lambda f: f.op("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1))
operator("max-pool-asymmetric", (1, 1, 5, 5), lambda f: f.op("MaxPool", "x", kernel_shape=[3, 2], strides=[2, 2], pads=[0, 1, 2, 0], ceil_mode=1))
operator("max-pool-same-lower", (1, 1, 5, 4), lambda f: f.op("MaxPool", "x", kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_LOWER"))
operator("max-pool-dilation", (1, 1, 5, 5), lambda f: f.op("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 2]))
operator("max-pool-1d", (1, 2, 6), lambda f: f.op("MaxPool", "x", kernel_shape=[2], strides=[2]))
operator("global-max-pool", (1, 2, 2, 3), lambda f: f.op("GlobalMaxPool", "x"))


# Networks.
@file((1, 12))
def net_mlp(f):
    x = f.op("Relu", f.linear("x", 12, 16))
    x = f.op("Relu", f.linear(x, 16, 12))
    return f.linear(x, 12, 4)


@file((1, 1, 8, 8))
def net_cnn_batch_norm(f):
    x = f.op("Relu", f.norm(f.conv("x", 1, 4, 3, bias=False, pads=[1, 1, 1, 1]), 4))
    x = f.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = f.op("Relu", f.norm(f.conv(x, 4, 6, 3, bias=False, strides=[2, 2], pads=[1, 1, 1, 1]), 6))
    return f.linear(f.op("Flatten", x), 24, 5)


@file((1, 3, 6, 6))
def net_residual_block(f):
    x = f.op("Relu", f.norm(f.conv("x", 3, 4, 3, pads=[1, 1, 1, 1]), 4))
    y = f.op("Relu", f.norm(f.conv(x, 4, 4, 3, pads=[1, 1, 1, 1]), 4))
    y = f.norm(f.conv(y, 4, 4, 3, pads=[1, 1, 1, 1]), 4)
    x = f.op("Relu", f.op("Add", x, y))
    short = f.norm(f.conv(x, 4, 6, 1, strides=[2, 2]), 6)
    y = f.op("Relu", f.norm(f.conv(x, 4, 6, 3, strides=[2, 2], pads=[1, 1, 1, 1]), 6))
    y = f.norm(f.conv(y, 6, 6, 3, pads=[1, 1, 1, 1]), 6)
    x = f.op("Relu", f.op("Add", y, short))
    return f.linear(f.op("Flatten", f.op("GlobalAveragePool", x)), 6, 3)


@file((1, 2, 6, 6))
def net_mobile(f):
    """Inverted residual blocks: expand, depthwise, project, ReLU6."""

    def relu6(x):
        return f.op("Clip", x, f.const(0.0), f.const(6.0))

    x = relu6(f.norm(f.conv("x", 2, 4, 3, strides=[2, 2], pads=[1, 1, 1, 1]), 4))
    y = relu6(f.norm(f.conv(x, 4, 8, 1, bias=False), 8))
    y = relu6(f.norm(f.conv(y, 8, 8, 3, bias=False, groups=8, pads=[1, 1, 1, 1]), 8))
    y = f.norm(f.conv(y, 8, 4, 1, bias=False), 4)
    x = f.op("Add", x, y)
    x = f.op("ReduceMean", x, axes=[2, 3], keepdims=0)
    return f.linear(x, 4, 3)


@file((1, 4, 4, 4))
def net_squeeze_excite(f):
    x = f.op("Relu", f.conv("x", 4, 6, 3, pads=[1, 1, 1, 1]))
    s = f.op("GlobalAveragePool", x)
    s = f.op("Relu", f.conv(s, 6, 3, 1))
    s = f.op("Sigmoid", f.conv(s, 3, 6, 1))
    x = f.op("Mul", x, s)
    return f.linear(f.op("Flatten", f.op("GlobalAveragePool", x)), 6, 4)


@file((1, 2, 24))
def net_cnn_1d(f):
    x = f.op("Relu", f.norm(f.conv("x", 2, 4, (5,), strides=[2], pads=[2, 2]), 4))
    x = f.op("AveragePool", x, kernel_shape=[2], strides=[2])
    x = f.op("LeakyRelu", f.conv(x, 4, 6, (3,)), alpha=0.1)
    return f.linear(f.op("Flatten", x), 24, 3)


@file((1, 1, 16, 16))
def net_lenet(f):
    x = f.op("Relu", f.conv("x", 1, 3, 5))
    x = f.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = f.op("Relu", f.conv(x, 3, 6, 3))
    x = f.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = f.op("Reshape", x, f.ints(-1, 24))
    x = f.op("Relu", f.linear(x, 24, 16))
    x = f.op("Relu", f.linear(x, 16, 12))
    return f.linear(x, 12, 10)


@file((1, 8))
def net_resmlp(f):
    x = f.linear("x", 8, 12)
    for _ in range(3):
        y = f.op("Relu", f.linear(x, 12, 12))
        x = f.op("Add", x, f.linear(y, 12, 12))
    return f.linear(x, 12, 4)


@file((1, 10))
def net_autoencoder(f):
    x = f.op("Tanh", f.linear("x", 10, 6))
    x = f.linear(x, 6, 3)
    x = f.op("Tanh", f.linear(x, 3, 6))
    return f.op("Sigmoid", f.linear(x, 6, 10))


@file((1, 8))
def net_gated_mlp(f):
    """Blocks x + W3 (silu(W1 x) * (W2 x))."""
    x = "x"
    for _ in range(2):
        gate = silu(f, f.op("MatMul", x, f.weight(8, 10, gain=0.4)))
        up = f.op("MatMul", x, f.weight(8, 10, gain=0.4))
        x = f.op("Add", x, f.op("MatMul", f.op("Mul", gate, up), f.weight(10, 8, gain=0.4)))
    return f.linear(x, 8, 3)


@file((1, 1, 8, 8))
def net_unet(f):
    a = f.op("Relu", f.conv("x", 1, 3, 3, pads=[1, 1, 1, 1]))
    b = f.op("Relu", f.conv(a, 3, 4, 3, strides=[2, 2], pads=[1, 1, 1, 1]))
    b = f.op("Resize", b, "", f.const([1, 1, 2, 2]), mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    x = f.op("Concat", a, b, axis=1)
    x = f.op("Relu", f.conv(x, 7, 3, 3, pads=[1, 1, 1, 1]))
    return f.conv(x, 3, 1, 1)


@file((1, 6))
def net_gelu_mlp(f):
    x = gelu_parts(f, f.linear("x", 6, 12))
    x = f.op("Add", "x", f.linear(x, 12, 6))
    return f.op("Softmax", f.linear(x, 6, 4), axis=1)


@file((1, 4))
def op_if(f):
    """A branch that is chosen by constants."""
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4])
    branch = lambda kind: helper.make_graph([helper.make_node(kind, ["x"], [f"{kind}_out"], name=kind)], kind, [], [value(f"{kind}_out")])
    condition = f.op("Less", f.const(2.0), f.const(1.0))
    return f.op("If", condition, then_branch=branch("Relu"), else_branch=branch("Tanh"))


def recurrent(f, kind, x, inputs, hidden, gates, both=False, **attributes):
    """A node of one direction with random weights."""
    w = f.const(f.rng.normal(size=(1, gates * hidden, inputs)) / np.sqrt(inputs))
    r = f.const(f.rng.normal(size=(1, gates * hidden, hidden)) / np.sqrt(hidden))
    b = f.const(f.rng.normal(size=(1, 2 * gates * hidden)) * 0.2)
    outputs = 3 if kind == "LSTM" else 2
    return f.op(kind, x, w, r, b, outputs=outputs, hidden_size=hidden, **attributes)


@file((7, 1, 3), time=0)
def net_rnn(f):
    """An Elman cell over [time, batch, entries], an output for each frame."""
    f.frame = 3
    y = recurrent(f, "RNN", "x", 3, 5, 1)[0]
    y = f.op("Squeeze", y, f.ints(1))
    return f.op("Add", f.op("MatMul", y, f.weight(5, 2)), f.weight(2))


@file((7, 1, 3), symbolic=False)
def net_rnn_relu(f):
    """ReLU cell, many to one, by `Y_h`."""
    f.frame = 3
    y = recurrent(f, "RNN", "x", 3, 4, 1, activations=["Relu"])[1]
    return f.linear(f.op("Squeeze", y, f.ints(0)), 4, 2)


@file((1, 9, 3), time=1)
def net_gru(f):
    """What PyTorch writes for a GRU of two layers, batch first, and a dense layer on the last output."""
    f.frame = 3
    x = f.op("Transpose", "x", perm=[1, 0, 2])
    x = f.op("Squeeze", recurrent(f, "GRU", x, 3, 5, 3, linear_before_reset=1)[0], f.ints(1))
    x = f.op("Squeeze", recurrent(f, "GRU", x, 5, 4, 3, linear_before_reset=1)[0], f.ints(1))
    x = f.op("Transpose", x, perm=[1, 0, 2])
    x = f.op("Gather", x, f.const(-1, np.int64), axis=1)
    return f.op("Sigmoid", f.linear(x, 4, 2))


@file((6, 1, 2), symbolic=False)
def net_gru_reset_before(f):
    f.frame = 2
    y = recurrent(f, "GRU", "x", 2, 4, 3)[1]
    return f.op("Squeeze", y, f.ints(0))


@file((7, 1, 3), time=0)
def net_rnn_no_bias(f):
    f.frame = 3
    w, r = f.const(f.rng.normal(size=(1, 4, 3))), f.const(f.rng.normal(size=(1, 4, 4)) / 2)
    return f.op("Squeeze", f.op("RNN", "x", w, r, hidden_size=4, outputs=2)[0], f.ints(1, 2))


@file((6, 1, 2), time=0)
def net_lstm_last(f):
    """Its activations named, a zero state, zero peepholes; the output after the last frame."""
    f.frame = 2
    w, r = f.const(f.rng.normal(size=(1, 12, 2)) / np.sqrt(2)), f.const(f.rng.normal(size=(1, 12, 3)) / 2)
    b, zero = f.const(f.rng.normal(size=(1, 24)) * 0.2), f.const(np.zeros((1, 1, 3)))
    y = f.op(
        "LSTM", "x", w, r, b, "", zero, zero, f.const(np.zeros((1, 9))),
        hidden_size=3, outputs=3, activations=["Sigmoid", "Tanh", "Tanh"], direction="forward", input_forget=0,
    )
    return f.op("Gemm", f.op("Squeeze", y[1], f.ints(0)), f.weight(2, 3, gain=1.0), f.const([1.0, -1.0]), transB=1)


@file((1, 8, 3))
def net_lstm(f):
    """An LSTM, batch first, whose zero state is made of the shape of the input; a head with ReLU."""
    f.frame = 3
    batch = f.op("Unsqueeze", f.op("Gather", f.op("Shape", "x"), f.const(0, np.int64)), f.ints(0))
    shape = f.op("Concat", f.ints(1), batch, f.ints(4), axis=0)
    zeros = f.op("Expand", f.const(0.0), shape)
    x = f.op("Transpose", "x", perm=[1, 0, 2])
    w = f.const(f.rng.normal(size=(1, 16, 3)) / np.sqrt(3))
    r = f.const(f.rng.normal(size=(1, 16, 4)) / 2)
    b = f.const(f.rng.normal(size=(1, 32)) * 0.2)
    y = f.op("LSTM", x, w, r, b, "", zeros, zeros, hidden_size=4, outputs=3)[0]
    y = f.op("Reshape", f.op("Transpose", y, perm=[2, 0, 1, 3]), f.ints(0, 0, -1))
    y = f.op("Relu", f.op("Add", f.op("MatMul", y, f.weight(4, 6)), f.weight(6)))
    return f.op("Add", f.op("MatMul", y, f.weight(6, 2)), f.weight(2))


def elman_body(f, inputs, hidden):
    """h' = tanh(W x + R h + b) as the body of a Scan; its weights are outside."""
    w, r, b = f.weight(inputs, hidden, gain=0.5), f.weight(hidden, hidden, gain=0.4), f.weight(hidden)
    nodes = [
        helper.make_node("MatMul", ["step", w], ["wx"], name="input_sums"),
        helper.make_node("MatMul", ["h", r], ["rh"], name="state_sums"),
        helper.make_node("Add", ["wx", "rh"], ["sums"], name="sums"),
        helper.make_node("Add", ["sums", b], ["biased"], name="bias"),
        helper.make_node("Tanh", ["biased"], ["h_next"], name="tanh"),
        helper.make_node("Identity", ["h_next"], ["out"], name="out"),
    ]
    value = lambda name, size: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
    return helper.make_graph(nodes, "body", [value("h", hidden), value("step", inputs)], [value("h_next", hidden), value("out", hidden)])


@file((5, 1, 3), symbolic=False)
def net_scan_elman(f):
    zero = f.const(np.zeros((1, 4)))
    state, outputs = f.op("Scan", zero, "x", outputs=2, body=elman_body(f, 3, 4), num_scan_inputs=1)
    last = f.linear(state, 4, 2)
    mean = f.op("ReduceMean", outputs, axes=[0], keepdims=0)
    return f.op("Concat", last, mean, axis=1)


@file((1, 5, 3), symbolic=False)
def net_scan_reversed(f):
    """Two scanned inputs, one from its end, along another axis; results from last to first."""
    w = f.weight(3, 3, gain=0.5)
    nodes = [
        helper.make_node("MatMul", ["h", w], ["wh"], name="state_sums"),
        helper.make_node("Add", ["wh", "a"], ["wha"], name="add_a"),
        helper.make_node("Sub", ["wha", "b"], ["sums"], name="subtract_b"),
        helper.make_node("Tanh", ["sums"], ["h_next"], name="tanh"),
        helper.make_node("Add", ["h_next", "b"], ["out"], name="out"),
    ]
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3])
    body = helper.make_graph(nodes, "body", [value("h"), value("a"), value("b")], [value("h_next"), value("out")])
    zero = f.const(np.zeros((1, 3)))
    twice = f.op("Mul", "x", f.const(0.5))
    state, outputs = f.op(
        "Scan", zero, "x", twice, outputs=2, body=body, num_scan_inputs=2,
        scan_input_axes=[1, -2], scan_input_directions=[0, 1], scan_output_axes=[-1], scan_output_directions=[1],
    )
    return f.op("Concat", f.op("Unsqueeze", state, f.ints(2)), outputs, axis=2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=pathlib.Path)
    directory = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    for old in [*directory.glob("*.onnx"), *directory.glob("*.json")]:
        old.unlink()
    for name, shape, options, write in FILES:
        f = File(name, shape, **options)
        save(f, write(f), directory)
    size = sum(p.stat().st_size for p in directory.iterdir())
    print(f"{len(FILES)} files, {size} bytes with their inputs and outputs")


if __name__ == "__main__":
    main()
