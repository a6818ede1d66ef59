#!/usr/bin/env python3
"""Train the small MNIST network that the examples prove, and write the sample data.

How to run it (less than a minute on one CPU core):

    python3 -m venv venv
    venv/bin/pip install -r tools/requirements.txt
    venv/bin/python tools/train_mnist.py --data MNIST_DIR --out examples/data

MNIST_DIR holds the MNIST test set files `t10k-images-idx3-ubyte.gz` and
`t10k-labels-idx1-ubyte.gz` (10,000 images). The first 8,000 images are used for
training, the last 2,000 only to measure the accuracy of the finished network.
With `--validate` the script trains on the first 7,000 images, prints the accuracy
on images 7,000 to 7,999 and writes nothing: use that to choose hyperparameters, so
that the last 2,000 images stay unseen.

The network is 784-128-10: logits = W2 relu(W1 x + b1) + b2, x = pixel / 255.
Training is AdamW with a one-cycle learning rate, random affine distortions of the
images, dropout and label smoothing; weight decay and label smoothing also keep the
weights and logits in a narrow range, which suits 8-bit quantisation.

Files written to OUT:
    mnist-784-128-10.safetensors        fc1.weight, fc1.bias, fc2.weight, fc2.bias
    mnist-sample-images-idx3-ubyte      20 test images, two per digit
    mnist-sample-labels-idx1-ubyte      their labels
    mnist-calibration-images-idx3-ubyte the first 100 training images

All seeds are fixed and BLAS runs on one thread, so two runs on one machine write the
same bytes. Another CPU or BLAS may round differently and give other weights.
"""

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is loaded: fixes the order of summation

import argparse
import struct
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from mnist_data import TRAIN, VALIDATE_FROM, distort, read_idx

SEED = 20240601
CALIBRATION = 100
HIDDEN, CLASSES = 128, 10
EPOCHS, BATCH = 120, 64
PEAK_RATE, WEIGHT_DECAY = 3e-3, 0.6
DROPOUT, SMOOTHING = 0.1, 0.05


def write_idx(path, array):
    """Write an array of unsigned bytes as an uncompressed IDX file."""
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def forward(p, x):
    """Return the hidden activations and the logits."""
    hidden = np.maximum(x @ p["fc1.weight"].T + p["fc1.bias"], 0)
    return hidden, hidden @ p["fc2.weight"].T + p["fc2.bias"]


def gradients(p, x, labels, rng):
    """Gradients of the smoothed cross-entropy, with dropout on the hidden layer."""
    hidden = np.maximum(x @ p["fc1.weight"].T + p["fc1.bias"], 0)
    keep = (rng.random(hidden.shape, np.float32) >= DROPOUT) / np.float32(1 - DROPOUT)
    dropped = hidden * keep
    logits = dropped @ p["fc2.weight"].T + p["fc2.bias"]
    soft = np.exp(logits - logits.max(axis=1, keepdims=True))
    soft /= soft.sum(axis=1, keepdims=True)
    target = np.full_like(soft, SMOOTHING / CLASSES)
    target[np.arange(len(x)), labels] += 1 - SMOOTHING
    d_logits = (soft - target) / np.float32(len(x))
    d_hidden = (d_logits @ p["fc2.weight"]) * keep * (hidden > 0)
    return {
        "fc1.weight": d_hidden.T @ x,
        "fc1.bias": d_hidden.sum(axis=0),
        "fc2.weight": d_logits.T @ dropped,
        "fc2.bias": d_logits.sum(axis=0),
    }


def train(images, labels):
    """Train on the given images with AdamW; return the parameters by name."""
    rng = np.random.default_rng(SEED)
    p = {
        "fc1.weight": rng.normal(0, (1 / 784) ** 0.5, (HIDDEN, 784)).astype(np.float32),
        "fc1.bias": np.zeros(HIDDEN, np.float32),
        "fc2.weight": rng.normal(0, (1 / HIDDEN) ** 0.5, (CLASSES, HIDDEN)).astype(np.float32),
        "fc2.bias": np.zeros(CLASSES, np.float32),
    }
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
        if (epoch + 1) % 20 == 0:
            print(f"epoch {epoch + 1}: training accuracy {accuracy(p, images, labels):.4f}", flush=True)
    return p


def accuracy(p, x, labels):
    """Share of images whose largest logit is the label."""
    return float((forward(p, x)[1].argmax(axis=1) == labels).mean())


def main():
    parser = argparse.ArgumentParser(description="Train the MNIST example network.")
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
    print(f"float accuracy on the last 2000 images: {accuracy(p, x[TRAIN:], labels[TRAIN:]):.4f}")

    # The first two images of each digit from index 8000 on, in index order.
    chosen = np.sort(np.concatenate([TRAIN + np.flatnonzero(labels[TRAIN:] == d)[:2] for d in range(10)]))
    print("sample indices:", *chosen)
    args.out.mkdir(parents=True, exist_ok=True)
    write_idx(args.out / "mnist-sample-images-idx3-ubyte", images[chosen])
    write_idx(args.out / "mnist-sample-labels-idx1-ubyte", labels[chosen])
    write_idx(args.out / "mnist-calibration-images-idx3-ubyte", images[:CALIBRATION])
    # One metadata entry: the order of several is not fixed, and the file must be reproducible.
    note = (
        "Architecture: 784-128-10 fully connected, ReLU, input pixel/255. Trained on the first 8000 "
        "images of the MNIST test set (LeCun, Cortes, Burges, The MNIST database of handwritten "
        "digits, CC BY-SA 3.0). Licence: CC BY-SA 3.0, as the data."
    )
    tensors = {k: np.ascontiguousarray(v, dtype=np.float32) for k, v in p.items()}
    weights = save(tensors, metadata={"description": note})
    (args.out / "mnist-784-128-10.safetensors").write_bytes(weights)


if __name__ == "__main__":
    main()
