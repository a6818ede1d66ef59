"""What the MNIST training scripts share: how the images are split, read and distorted."""

import gzip
import struct

import numpy as np

# Of the 10,000 images of the test set files: the first TRAIN are for training, the others only
# for the final measurement. Hyperparameters are chosen on images VALIDATE_FROM to TRAIN - 1.
TRAIN, VALIDATE_FROM = 8000, 7000

SHIFT, ROTATE, SCALE, SHEAR = 1.5, np.radians(10.0), 0.10, 0.10


def read_idx(path):
    """Read a gzipped IDX file of unsigned bytes."""
    raw = gzip.decompress(path.read_bytes())
    zero, kind, rank = struct.unpack(">HBB", raw[:4])
    if (zero, kind) != (0, 8):
        raise ValueError(f"{path}: not an IDX file of unsigned bytes")
    shape = struct.unpack(f">{rank}I", raw[4 : 4 + 4 * rank])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def distort(images, rng):
    """Shift, rotate, scale and shear each 28x28 image at random (bilinear sampling)."""
    n = len(images)
    angle = rng.uniform(-ROTATE, ROTATE, n)
    zoom_x, zoom_y = 1 + rng.uniform(-SCALE, SCALE, (2, n))
    shear = rng.uniform(-SHEAR, SHEAR, n)
    shift = rng.uniform(-SHIFT, SHIFT, (2, n, 1))
    cos, sin = np.cos(angle), np.sin(angle)
    v, u = np.mgrid[0:28, 0:28].reshape(2, 1, 784) - 13.5
    # Source coordinates of every target pixel, in an image with a border of two zeros.
    x = (cos * zoom_x)[:, None] * u + (shear * cos - sin * zoom_y)[:, None] * v + shift[0] + 15.5
    y = (sin * zoom_x)[:, None] * u + (shear * sin + cos * zoom_y)[:, None] * v + shift[1] + 15.5
    x, y = np.clip(x, 0, 30.999), np.clip(y, 0, 30.999)
    column, row = x.astype(np.int64), y.astype(np.int64)
    fx, fy = (x - column).astype(np.float32), (y - row).astype(np.float32)
    padded = np.pad(images.reshape(n, 28, 28), ((0, 0), (2, 2), (2, 2))).ravel()
    at = np.arange(n)[:, None] * 1024 + row * 32 + column
    top = padded[at] * (1 - fx) + padded[at + 1] * fx
    bottom = padded[at + 32] * (1 - fx) + padded[at + 33] * fx
    return top * (1 - fy) + bottom * fy
