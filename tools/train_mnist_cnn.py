#!/usr/bin/env python3
"""Train a small convolutional network on MNIST and write it as an ONNX file.

How to run it (some ten seconds on one CPU core):

    python3 -m venv venv
    venv/bin/pip install -r tools/requirements.txt
    venv/bin/python tools/train_mnist_cnn.py --data MNIST_DIR --out examples/data

MNIST_DIR holds the MNIST test set files `t10k-images-idx3-ubyte.gz` and
`t10k-labels-idx1-ubyte.gz` (10,000 images). The first 8,000 images are used for
training, the last 2,000 only to measure the accuracy of the finished network.
With `--validate` the script trains on the first 7,000 images, prints the accuracy
on images 7,000 to 7,999 and writes nothing: use that to choose hyperparameters, so
that the last 2,000 images stay unseen.

The network takes x [1, 1, 28, 28], x = pixel / 255, and has 5,994 parameters:

    convolution 5x5, stride 2, no padding, ReLU     [8, 12, 12]
    convolution 5x5, stride 2, no padding, ReLU     [16, 4, 4]
    flatten (channel, row, column), dense           10 logits

Convolutions are matrix products over the patches of an image, their gradients too.
Training is AdamW with a one-cycle learning rate, random affine distortions of the
images, dropout before the dense layer and label smoothing; weight decay and label
smoothing also keep the weights and logits in a narrow range, which suits 8-bit
quantisation.

File written to OUT:
    mnist-cnn.onnx    opset 17: Conv, Relu, Conv, Relu, Flatten, Gemm; initializers
                      {conv1,conv2,fc}.{weight,bias}, as PyTorch would name them

All seeds are fixed and BLAS runs on one thread, so two runs on one machine write the
same bytes. Another CPU or BLAS may round differently and give other weights.
"""

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is loaded: fixes the order of summation

import argparse
from pathlib import Path

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from onnx import TensorProto, helper, numpy_helper

from mnist_data import TRAIN, VALIDATE_FROM, distort, read_idx

SEED = 20240601
KERNEL, STRIDE = 5, 2
CHANNELS, FEATURES, CLASSES = (1, 8, 16), 256, 10
EPOCHS, BATCH = 20, 64
PEAK_RATE, WEIGHT_DECAY = 6e-3, 0.1
DROPOUT, SMOOTHING = 0.1, 0.05
OPSET, IR_VERSION = 17, 8


def patches(x):
    """The patches under the kernel: [n, C, H, W] to [n, H', W', C * KERNEL^2]."""
    windows = sliding_window_view(x, (KERNEL, KERNEL), axis=(2, 3))[:, :, ::STRIDE, ::STRIDE]
    n, _, height, width = windows.shape[:4]
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(n, height, width, -1)


def overlay(d_patches, shape):
    """The adjoint of `patches`: sum gradients of patches into one of shape [n, C, H, W]."""
    n, height, width = d_patches.shape[:3]
    d_windows = d_patches.reshape(n, height, width, shape[1], KERNEL, KERNEL).transpose(0, 3, 1, 2, 4, 5)
    d_x = np.zeros(shape, np.float32)
    for i in range(KERNEL):
        for j in range(KERNEL):
            rows = slice(i, i + STRIDE * height, STRIDE)
            columns = slice(j, j + STRIDE * width, STRIDE)
            d_x[:, :, rows, columns] += d_windows[..., i, j]
    return d_x


def convolve(weight, bias, columns):
    """Convolution and ReLU: patches [n, H', W', C * KERNEL^2] to [n, M, H', W']."""
    sums = columns.reshape(-1, columns.shape[-1]) @ weight.reshape(len(weight), -1).T + bias
    return np.maximum(sums, 0).reshape(*columns.shape[:3], -1).transpose(0, 3, 1, 2)


def convolve_gradients(d_sums, columns):
    """Gradients of weight [M, C * KERNEL^2] and bias [M], from that of the sums [n, M, H', W']."""
    d_sums = d_sums.transpose(0, 2, 3, 1).reshape(-1, d_sums.shape[1])
    return d_sums.T @ columns.reshape(len(d_sums), -1), d_sums.sum(axis=0)


def forward(p, x):
    """Patches and results of both convolutions, of images [n, 784]."""
    columns1 = patches(x.reshape(-1, 1, 28, 28))
    hidden1 = convolve(p["conv1.weight"], p["conv1.bias"], columns1)
    columns2 = patches(hidden1)
    hidden2 = convolve(p["conv2.weight"], p["conv2.bias"], columns2)
    return columns1, hidden1, columns2, hidden2


def logits(p, x):
    """The logits [n, 10] of images [n, 784]."""
    features = forward(p, x)[-1].reshape(-1, FEATURES)
    return features @ p["fc.weight"].T + p["fc.bias"]


def gradients(p, x, labels, rng):
    """Gradients of the smoothed cross-entropy, with dropout before the dense layer."""
    columns1, hidden1, columns2, hidden2 = forward(p, x)
    features = hidden2.reshape(-1, FEATURES)
    keep = (rng.random(features.shape, np.float32) >= DROPOUT) / np.float32(1 - DROPOUT)
    dropped = features * keep
    out = dropped @ p["fc.weight"].T + p["fc.bias"]
    soft = np.exp(out - out.max(axis=1, keepdims=True))
    soft /= soft.sum(axis=1, keepdims=True)
    target = np.full_like(soft, SMOOTHING / CLASSES)
    target[np.arange(len(x)), labels] += 1 - SMOOTHING
    d_out = (soft - target) / np.float32(len(x))
    d_features = (d_out @ p["fc.weight"]) * keep
    d_sums2 = d_features.reshape(hidden2.shape) * (hidden2 > 0)
    weight2 = p["conv2.weight"].reshape(CHANNELS[2], -1)
    d_columns2 = d_sums2.transpose(0, 2, 3, 1) @ weight2
    d_sums1 = overlay(d_columns2, hidden1.shape) * (hidden1 > 0)
    d_weight2, d_bias2 = convolve_gradients(d_sums2, columns2)
    d_weight1, d_bias1 = convolve_gradients(d_sums1, columns1)
    return {
        "conv1.weight": d_weight1.reshape(p["conv1.weight"].shape),
        "conv1.bias": d_bias1,
        "conv2.weight": d_weight2.reshape(p["conv2.weight"].shape),
        "conv2.bias": d_bias2,
        "fc.weight": d_out.T @ dropped,
        "fc.bias": d_out.sum(axis=0),
    }


def initial(rng):
    """Random weights of variance 2 / inputs before a ReLU, 1 / inputs at the end; biases zero."""
    shapes = {
        "conv1": (2, (CHANNELS[1], CHANNELS[0], KERNEL, KERNEL)),
        "conv2": (2, (CHANNELS[2], CHANNELS[1], KERNEL, KERNEL)),
        "fc": (1, (CLASSES, FEATURES)),
    }
    p = {}
    for name, (gain, shape) in shapes.items():
        deviation = (gain / np.prod(shape[1:])) ** 0.5
        p[f"{name}.weight"] = rng.normal(0, deviation, shape).astype(np.float32)
        p[f"{name}.bias"] = np.zeros(shape[0], np.float32)
    return p


def train(images, labels):
    """Train on the given images with AdamW; return the parameters by name."""
    rng = np.random.default_rng(SEED)
    p = initial(rng)
    mean = {k: np.zeros_like(v) for k, v in p.items()}
    square = {k: np.zeros_like(v) for k, v in p.items()}
    step, steps = 0, EPOCHS * (len(images) // BATCH)
    for epoch in range(EPOCHS):
        order = rng.permutation(len(images))
        for batch in order[: len(order) // BATCH * BATCH].reshape(-1, BATCH):
            progress, step = step / steps, step + 1
            warm, cool = progress / 0.1, 0.5 + 0.5 * np.cos(np.pi * (progress - 0.1) / 0.9)
            rate = np.float32(PEAK_RATE * (warm if progress < 0.1 else cool))
            grad = gradients(p, distort(images[batch], rng), labels[batch], rng)
            for k, g in grad.items():
                mean[k] += np.float32(0.1) * (g - mean[k])
                square[k] += np.float32(0.001) * (g * g - square[k])
                m, s = mean[k] / np.float32(1 - 0.9**step), square[k] / np.float32(1 - 0.999**step)
                if k.endswith("weight"):
                    p[k] *= 1 - rate * np.float32(WEIGHT_DECAY)
                p[k] -= rate * m / (np.sqrt(s) + np.float32(1e-8))
        if (epoch + 1) % 5 == 0:
            print(f"epoch {epoch + 1}: training accuracy {accuracy(p, images, labels):.4f}", flush=True)
    return p


def accuracy(p, x, labels):
    """Share of images whose largest logit is the label."""
    # In parts, because the patches of thousands of images take much memory.
    parts = np.split(x, range(500, len(x), 500))
    chosen = np.concatenate([logits(p, part).argmax(axis=1) for part in parts])
    return float((chosen == labels).mean())


def onnx_model(p):
    """The network as an ONNX model with input `x` [1, 1, 28, 28] and output `logits` [1, 10]."""
    window = {"kernel_shape": [KERNEL] * 2, "strides": [STRIDE] * 2, "pads": [0] * 4}
    nodes = [
        helper.make_node("Conv", ["x", "conv1.weight", "conv1.bias"], ["sums1"], "conv1", **window),
        helper.make_node("Relu", ["sums1"], ["hidden1"], "relu1"),
        helper.make_node("Conv", ["hidden1", "conv2.weight", "conv2.bias"], ["sums2"], "conv2", **window),
        helper.make_node("Relu", ["sums2"], ["hidden2"], "relu2"),
        helper.make_node("Flatten", ["hidden2"], ["features"], "flatten", axis=1),
        helper.make_node("Gemm", ["features", "fc.weight", "fc.bias"], ["logits"], "fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "mnist-cnn",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(np.ascontiguousarray(v, dtype=np.float32), k) for k, v in p.items()],
    )
    note = (
        "Input pixel/255. Trained on the first 8000 images of the MNIST test set (LeCun, Cortes, "
        "Burges, The MNIST database of handwritten digits, CC BY-SA 3.0). Licence: CC BY-SA 3.0, as "
        "the data."
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="layerfold",
        doc_string=note,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    parser = argparse.ArgumentParser(description="Train the convolutional MNIST example network.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the t10k-*.gz files")
    parser.add_argument("--out", type=Path, help="folder to write to")
    parser.add_argument("--validate", action="store_true", help="hold out images 7000-7999")
    args = parser.parse_args()
    if args.out is None and not args.validate:
        parser.error("--out is required")

    images = read_idx(args.data / "t10k-images-idx3-ubyte.gz")
    labels = read_idx(args.data / "t10k-labels-idx1-ubyte.gz")
    x = images.reshape(len(images), 784).astype(np.float32) / np.float32(255)

    if args.validate:
        p = train(x[:VALIDATE_FROM], labels[:VALIDATE_FROM])
        held_out = slice(VALIDATE_FROM, TRAIN)
        print(f"accuracy on images 7000-7999: {accuracy(p, x[held_out], labels[held_out]):.4f}")
        return

    p = train(x[:TRAIN], labels[:TRAIN])
    print(f"float accuracy on the first 8000 images: {accuracy(p, x[:TRAIN], labels[:TRAIN]):.4f}")
    print(f"float accuracy on the last 2000 images: {accuracy(p, x[TRAIN:], labels[TRAIN:]):.4f}")
    args.out.mkdir(parents=True, exist_ok=True)
    model = onnx_model(p).SerializeToString(deterministic=True)
    (args.out / "mnist-cnn.onnx").write_bytes(model)


if __name__ == "__main__":
    main()
