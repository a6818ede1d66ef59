#!/usr/bin/env python3
"""Train the small credit-scoring network that an example proves, and write its data.

How to run it (a second on one CPU core):

    python3 -m venv venv
    venv/bin/pip install -r tools/requirements.txt
    venv/bin/python tools/train_credit.py --data FILE --out examples/data

FILE is `german.data` of the Statlog German Credit data (Hans Hofmann, UCI Machine Learning
Repository, https://doi.org/10.24432/C5NC77, CC BY 4.0): 1,000 credits of a German bank from the
1970s, 20 attributes each, with the outcome. A permutation with a fixed seed takes 700 for
training and holds out 300.

The network is 20-32-16-1: p = sigmoid(W3 relu(W2 relu(W1 x + b1) + b2) + b3), the probability
that the credit is repaid. The entries of x, one for each attribute, lie in [-2, 2] and are
rounded to four decimals. a2, a5 and so on are the numeric attributes, A11 and so on the codes of
the file:

    x0   checking account       A11 -1.5, A12 -0.5, A13 0.5, A14 1.5
    x1   duration, months       log2(a2 / 18)
    x2   credit history         A30 -2, A31 -1, A32 0, A33 1, A34 2
    x3   purpose                PURPOSE: 2 (logit of the good rate - logit of the mean rate)
    x4   credit amount, DM      0.625 log2(a5 / 2300)
    x5   savings                A61 -2, A62 -1, A63 0, A64 1, A65 2
    x6   years in employment    A71 -2, A72 -1, A73 0, A74 1, A75 2
    x7   instalments by income  a8 - 2.5
    x8   monthly repayment, DM  log2(a5 / a2 / 130); attribute 9 is not used
    x9   other debtors          co-applicant A102 -1, none A101 0, guarantor A103 1
    x10  years in residence     a11 - 2.5
    x11  property               A121 -1.5, A122 -0.5, A123 0.5, A124 1.5
    x12  age, years             2 log2(a13 / 36)
    x13  other instalments      at a bank A141 or a store A142 -1, none A143 1
    x14  housing                A152 1, others -1
    x15  credits at this bank   a16 - 2
    x16  job                    A171 -1.5, A172 -0.5, A173 0.5, A174 1.5
    x17  dependants             2 a18 - 3
    x18  telephone              A191 -1, A192 1
    x19  foreign worker         A201 -1, A202 1

Levels keep the order of their codes, except in x9, x13 and x14, where the good rates in the
training part are out of order or alike. The good rates in PURPOSE are smoothed and come from the
training part alone.

Attribute 9, personal status and sex, is the group of a fairness audit: A91, A93 and A94 male, A92
and A95 female, as in the documentation of the file. Every distinction among its codes tells
something of the sex, so none enters x. Leaving it out does not make the others independent of it.
The documentation of the codes is known to be wrong: according to Ulrike Groemping, "South German
Credit Data: Correcting a Widely Used Data Set" (Reports in Mathematics, Physics and Chemistry
4/2019, Beuth University of Applied Sciences Berlin), A92 are women who are not single *and* single
men, A94 single women. The groups thus only show how such an audit works.

Training is AdamW with a cosine learning rate, dropout and weight decay, for a number of epochs
chosen by cross-validation; a logistic regression on the same x serves for comparison.

Files written to OUT:
    credit-20-32-16-1.safetensors   fc1, fc2, fc3, each .weight [out, in] and .bias [out]
    credit-calibration.csv          x of the first 200 training rows
    credit-heldout.csv              x, label (1 good, 0 bad), group (0 male, 1 female), 300 rows

With `--validate` the script cross-validates on the training part, with the good rates of each
fold, and writes nothing: use that to choose hyperparameters, so that the held-out rows stay
unseen. With `--check` it trains nothing, reads the files in OUT and compares the floats with
integer inference.

All seeds are fixed and BLAS runs on one thread, so two runs on one machine write the same
bytes. Another CPU or BLAS may round differently and give other weights.
"""

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is loaded: fixes the order of summation

import argparse
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

SEED = 20240603
ROWS, TRAIN, CALIBRATION = 1000, 700, 200
FOLDS, REPEATS = 5, 4
WIDTHS = (20, 32, 16, 1)
LAYERS = ("fc1", "fc2", "fc3")

EPOCHS, BATCH = 100, 50
PEAK_RATE, WEIGHT_DECAY, DROPOUT = 3e-3, 2.0, 0.3
RIDGE = 10.0  # of the logistic regression
PURPOSE_PRIOR = 20  # rows of the mean rate that smooth each good rate

# A credit is approved if p is at least this. The data set counts an approved bad credit as
# BAD_COST, a refused good one as 1: approval is the cheaper from p = 5/6 on, 13/16 is the nearest
# sixteenth.
THRESHOLD, BAD_COST = 13 / 16, 5

# x3 by the code of the purpose, from the training part.
PURPOSE = {
    "A40": -0.63,  # new car
    "A41": 0.94,  # used car
    "A42": -0.04,  # furniture, equipment
    "A43": 0.79,  # radio, television
    "A44": -0.18,  # domestic appliances
    "A45": -0.43,  # repairs
    "A46": -0.72,  # education
    "A48": 0.62,  # retraining
    "A49": -0.39,  # business
    "A410": -0.39,  # others
}

WEIGHTS_FILE, CALIBRATION_FILE = "credit-20-32-16-1.safetensors", "credit-calibration.csv"
HELD_OUT_FILE = "credit-heldout.csv"


# The data.


def read(path):
    """The fields of each row of `german.data`, as text."""
    rows = [line.split() for line in path.read_text().splitlines()]
    if len(rows) != ROWS or any(len(row) != 21 for row in rows):
        raise ValueError(f"{path}: not {ROWS} rows of 21 fields")
    return rows


def split(rows):
    """The training and the held-out rows."""
    order = np.random.default_rng((SEED, 0)).permutation(len(rows))
    return [rows[i] for i in order[:TRAIN]], [rows[i] for i in order[TRAIN:]]


def labels(rows):
    """1 for a good credit, 0 for a bad one."""
    return np.array([row[20] == "1" for row in rows], np.int64)


def groups(rows):
    """0 for male, 1 for female, as the documentation of the file reads attribute 9."""
    return np.array([row[8] in ("A92", "A95") for row in rows], np.int64)


def logit(p):
    return np.log(p / (1 - p))


def purpose_levels(rows):
    """x3 by code: twice the difference between the logits of the smoothed good rate and of the
    mean rate."""
    y = labels(rows)
    mean = y.mean()
    levels = {}
    for code in PURPOSE:
        good = y[[row[3] == code for row in rows]]
        rate = (good.sum() + PURPOSE_PRIOR * mean) / (len(good) + PURPOSE_PRIOR)
        levels[code] = round(float(2 * (logit(rate) - logit(mean))), 2)
    return levels


def encode(rows, purpose):
    """x [rows, 20]."""

    def levels(attribute, values):
        """The values of the codes 1, 2, ... of the attribute; of attribute 3 they are 0, 1, ..."""
        first = 0 if attribute == 3 else 1
        codes = {f"A{attribute}{first + i}": value for i, value in enumerate(values)}
        return np.array([codes[row[attribute - 1]] for row in rows])

    def number(attribute):
        return np.array([float(row[attribute - 1]) for row in rows])

    four, five = (-1.5, -0.5, 0.5, 1.5), (-2, -1, 0, 1, 2)
    columns = [
        levels(1, four),
        np.log2(number(2) / 18),
        levels(3, five),
        np.array([purpose[row[3]] for row in rows]),
        0.625 * np.log2(number(5) / 2300),
        levels(6, five),
        levels(7, five),
        number(8) - 2.5,
        np.log2(number(5) / number(2) / 130),
        levels(10, (0, -1, 1)),
        number(11) - 2.5,
        levels(12, four),
        2 * np.log2(number(13) / 36),
        levels(14, (-1, -1, 1)),
        levels(15, (-1, 1, -1)),
        number(16) - 2,
        levels(17, four),
        2 * number(18) - 3,
        levels(19, (-1, 1)),
        levels(20, (-1, 1)),
    ]
    return np.clip(np.round(np.stack(columns, axis=1), 4), -2, 2).astype(np.float32)


# The network. Parameters are a dictionary by name.


def sigmoid(a):
    return 0.5 + 0.5 * np.tanh(0.5 * a)


def activations(p, x):
    """The inputs of every layer, and the pre-activation of the sigmoid [rows]."""
    inputs = [x]
    for name in LAYERS[:-1]:
        inputs.append(np.maximum(inputs[-1] @ p[f"{name}.weight"].T + p[f"{name}.bias"], 0))
    return inputs, (inputs[-1] @ p["fc3.weight"].T + p["fc3.bias"])[:, 0]


def score(p, x):
    """The pre-activation of the sigmoid [rows]."""
    return activations(p, x)[1]


def gradients(p, x, y, rng):
    """Gradients of the mean cross-entropy, with dropout on the hidden layers."""
    inputs, keeps = [x], []
    for name in LAYERS[:-1]:
        hidden = np.maximum(inputs[-1] @ p[f"{name}.weight"].T + p[f"{name}.bias"], 0)
        keeps.append((rng.random(hidden.shape, np.float32) >= DROPOUT) / np.float32(1 - DROPOUT))
        inputs.append(hidden * keeps[-1])
    out = inputs[-1] @ p["fc3.weight"].T + p["fc3.bias"]
    d = (sigmoid(out) - y[:, None]).astype(np.float32) / np.float32(len(x))
    gradient = {}
    for i in reversed(range(len(LAYERS))):
        gradient[f"{LAYERS[i]}.weight"], gradient[f"{LAYERS[i]}.bias"] = d.T @ inputs[i], d.sum(axis=0)
        if i > 0:
            d = (d @ p[f"{LAYERS[i]}.weight"]) * keeps[i - 1] * (inputs[i] > 0)
    return gradient


def train(x, y, seed):
    """Train with AdamW; return the parameters by name."""
    rng = np.random.default_rng((SEED, 1, seed))
    p = {}
    for name, fan, width in zip(LAYERS, WIDTHS, WIDTHS[1:]):
        p[f"{name}.weight"] = rng.normal(0, fan**-0.5, (width, fan)).astype(np.float32)
        p[f"{name}.bias"] = np.zeros(width, np.float32)
    mean = {k: np.zeros_like(v) for k, v in p.items()}
    square = {k: np.zeros_like(v) for k, v in p.items()}
    step, steps = 0, EPOCHS * (len(x) // BATCH)
    for _ in range(EPOCHS):
        order = rng.permutation(len(x))
        for batch in order[: len(order) // BATCH * BATCH].reshape(-1, BATCH):
            rate = np.float32(PEAK_RATE * (0.5 + 0.5 * np.cos(np.pi * step / steps)))
            step += 1
            for k, g in gradients(p, x[batch], y[batch], rng).items():
                mean[k] += np.float32(0.1) * (g - mean[k])
                square[k] += np.float32(0.001) * (g * g - square[k])
                m, s = mean[k] / np.float32(1 - 0.9**step), square[k] / np.float32(1 - 0.999**step)
                if k.endswith("weight"):
                    p[k] *= 1 - rate * np.float32(WEIGHT_DECAY)
                p[k] -= rate * m / (np.sqrt(s) + np.float32(1e-8))
    return p


def logistic_regression(x, y):
    """The coefficients with a ridge penalty, the constant last, by Newton's method."""
    x = np.column_stack([x.astype(np.float64), np.ones(len(x))])
    ridge = np.diag([RIDGE] * (x.shape[1] - 1) + [0.0])
    w = np.zeros(x.shape[1])
    for _ in range(20):
        p = sigmoid(x @ w)
        w -= np.linalg.solve((x.T * (p * (1 - p))) @ x + ridge, x.T @ (p - y) + ridge @ w)
    return w


def linear_score(w, x):
    return x.astype(np.float64) @ w[:-1] + w[-1]


# Integer inference, roughly as the library does it.


def integer_scores(p, x, calibration):
    """Return the pre-activation of the sigmoid in sixteenths, p in units of 1/128, and the share
    of clamped inputs, all integers from those of x [rows, 20].

    Activations have 8 bits, inputs and hidden layers at scales from the calibration rows [n, 20].
    The library enlarges a scale whose weights or sums do not fit; here that is an error.
    """
    shift, accumulator = 8, 21
    inputs, _ = activations(p, calibration)
    units = [float(np.abs(v).max()) / 127 for v in inputs] + [1 / 16]
    q = np.rint(x.astype(np.float64) / units[0]).astype(np.int64)
    clamped = float((np.abs(q) > 127).mean())
    q = np.clip(q, -128, 127)
    for name, in_unit, out_unit in zip(LAYERS, units, units[1:]):
        weight, bias = (p[f"{name}.{k}"].astype(np.float64) for k in ("weight", "bias"))
        w = np.rint(weight * in_unit / out_unit * 2**shift).astype(np.int64)
        b = np.rint(bias / out_unit * 2**shift).astype(np.int64)
        largest = int((np.abs(b) + 128 * np.abs(w).sum(axis=1)).max())
        if np.abs(w).max() >= 1 << 15 or largest + (1 << (shift - 1)) >= 1 << (accumulator - 1):
            raise ValueError(f"{name} does not fit at its scale")
        q = np.clip((q @ w.T + b + (1 << (shift - 1))) >> shift, -128, 127)
        if name != LAYERS[-1]:
            q = np.maximum(q, 0)
    table = np.minimum(np.rint(128 * sigmoid(np.arange(-128, 128) / 16)), 127).astype(np.int64)
    return q[:, 0], table[q[:, 0] + 128], clamped


# Reports.


def auc(values, y):
    """Probability that a good credit has a larger value than a bad one, ties counted half."""
    bad, good = np.sort(values[y == 0]), values[y == 1]
    below = np.searchsorted(bad, good, "left") + np.searchsorted(bad, good, "right")
    return float(below.mean() / (2 * len(bad)))


def cost(approved, y):
    """Mean cost of the decisions."""
    return float((BAD_COST * (approved & (y == 0)) + (~approved & (y == 1))).mean())


def report(name, p, y):
    """Print how good the probabilities are."""
    approved = p >= THRESHOLD
    print(
        f"    {name}: AUC {auc(p, y):.4f}, accuracy {((p >= 0.5) == y).mean():.4f} at 0.5 and "
        f"{(approved == y).mean():.4f} at {THRESHOLD}, where {approved.mean():.4f} are approved, "
        f"{y[approved].mean():.4f} of them good, cost {cost(approved, y):.4f}"
    )


def report_groups(name, p, y, group):
    """Print the approvals by group."""
    approved = p >= THRESHOLD
    for index, which in enumerate(("male", "female")):
        own = group == index
        print(
            f"    {name}, {which}: {approved[own].sum()} of {own.sum()} approved "
            f"({approved[own].mean():.4f}); {y[own].mean():.4f} are good, of whom "
            f"{approved[own & (y == 1)].mean():.4f} approved, of the bad "
            f"{approved[own & (y == 0)].mean():.4f}"
        )


def ranges(p, x):
    """Print how far weights and pre-activations reach."""
    inputs, out = activations(p, x)
    weights = max(float(np.abs(v).max()) for v in p.values())
    hidden = ", ".join(f"{v.max():.2f}" for v in inputs[1:])
    print(
        f"    largest weight or bias {weights:.2f}, hidden activations up to {hidden}, "
        f"pre-activation of the sigmoid {out.min():.2f} to {out.max():.2f}"
    )


def validate(rows):
    """Cross-validate on the training rows, several times."""
    y = labels(rows)
    probabilities = {"logistic regression": [], "network": []}
    for repeat in range(REPEATS):
        folds = np.array_split(np.random.default_rng((SEED, 2, repeat)).permutation(len(rows)), FOLDS)
        linear, net = np.empty(len(rows)), np.empty(len(rows))
        for fold, own in enumerate(folds):
            others = np.concatenate([f for i, f in enumerate(folds) if i != fold])
            x = encode(rows, purpose_levels([rows[i] for i in others]))
            linear[own] = sigmoid(linear_score(logistic_regression(x[others], y[others]), x[own]))
            p = train(x[others], y[others], 1 + repeat * FOLDS + fold)
            net[own] = sigmoid(score(p, x[own]))
        probabilities["logistic regression"].append(linear)
        probabilities["network"].append(net)
    for name, each in probabilities.items():
        print(f"{name}: AUC {np.mean([auc(p, y) for p in each]):.4f}")
        for sixteenths in range(8, 16):
            decisions = [p >= sixteenths / 16 for p in each]
            print(
                f"    at {sixteenths / 16}: cost {np.mean([cost(a, y) for a in decisions]):.4f}, "
                f"accuracy {np.mean([a == y for a in decisions]):.4f}, approved {np.mean(decisions):.4f}"
            )


def check(out):
    """Compare floats with integers on the held-out rows, for the weights in `out`."""
    p = load_file(out / WEIGHTS_FILE)
    calibration = np.loadtxt(out / CALIBRATION_FILE, delimiter=",", skiprows=1, dtype=np.float32)
    table = np.loadtxt(out / HELD_OUT_FILE, delimiter=",", skiprows=1)
    x, y, group = table[:, :-2].astype(np.float32), table[:, -2].astype(np.int64), table[:, -1]
    real = score(p, x)
    sixteenths, in_128ths, clamped = integer_scores(p, x, calibration)
    floats, integers = sigmoid(real.astype(np.float64)), in_128ths / 128
    difference = np.abs(integers - floats)
    same = ((integers >= THRESHOLD) == (floats >= THRESHOLD)).mean()
    print(f"held out, {len(x)} rows")
    for name, probability in (("floats", floats), ("integers", integers)):
        report(name, probability, y)
        report_groups(name, probability, y, group)
    print(
        f"    same decision {same:.4f}; p differs by {difference.mean():.4f} on average, "
        f"{difference.max():.4f} at most; inputs clamped {clamped:.3%}; pre-activations "
        f"{sixteenths.min() / 16:.2f} to {sixteenths.max() / 16:.2f}"
    )
    ranges(p, x)


def write(out, p, x, held_x, held_y, group):
    """Write the three files."""
    out.mkdir(parents=True, exist_ok=True)
    # One metadata entry: the order of several is not fixed, and the file must be reproducible.
    note = (
        "Architecture: 20-32-16-1 fully connected, ReLU, sigmoid: probability that a credit is "
        "repaid. Trained by tools/train_credit.py on 700 rows of the Statlog German Credit data (Hans "
        "Hofmann, UCI Machine Learning Repository, doi 10.24432/C5NC77, CC BY 4.0). Licence: CC BY 4.0, "
        "as the data."
    )
    tensors = {k: np.ascontiguousarray(v, dtype=np.float32) for k, v in p.items()}
    (out / WEIGHTS_FILE).write_bytes(save(tensors, metadata={"description": note}))
    header = ",".join(f"x{i}" for i in range(WIDTHS[0]))
    lines = [header] + [row(v) for v in x[:CALIBRATION]]
    (out / CALIBRATION_FILE).write_text("\n".join(lines) + "\n")
    lines = [f"{header},label,group"]
    lines += [f"{row(v)},{label},{of}" for v, label, of in zip(held_x, held_y, group)]
    (out / HELD_OUT_FILE).write_text("\n".join(lines) + "\n")


def row(values):
    return ",".join(f"{v:.4f}" for v in values)


def main():
    parser = argparse.ArgumentParser(description="Train the credit-scoring example network.")
    parser.add_argument("--data", type=Path, help="the file german.data")
    parser.add_argument("--out", type=Path, help="folder to write to, or to check")
    parser.add_argument("--validate", action="store_true", help="cross-validate on the training part")
    parser.add_argument("--check", action="store_true", help="compare floats and integers in OUT")
    args = parser.parse_args()
    if args.out is None and not args.validate:
        parser.error("--out is required")
    if args.check:
        check(args.out)
        return
    if args.data is None:
        parser.error("--data is required")

    rows, held_rows = split(read(args.data))
    if args.validate:
        validate(rows)
        return
    if purpose_levels(rows) != PURPOSE:
        raise ValueError("PURPOSE is not that of the training part")
    x, y = encode(rows, PURPOSE), labels(rows)
    held_x, held_y, group = encode(held_rows, PURPOSE), labels(held_rows), groups(held_rows)
    linear, p = logistic_regression(x, y), train(x, y, 0)
    for name, of_x, of_y in (("training", x, y), ("held out", held_x, held_y)):
        print(f"{name}: {len(of_x)} rows, {of_y.mean():.4f} good")
        report("logistic regression", sigmoid(linear_score(linear, of_x)), of_y)
        report("network", sigmoid(score(p, of_x).astype(np.float64)), of_y)
        ranges(p, of_x)
    report_groups("logistic regression", sigmoid(linear_score(linear, held_x)), held_y, group)
    report_groups("network", sigmoid(score(p, held_x).astype(np.float64)), held_y, group)
    write(args.out, p, x, held_x, held_y, group)


if __name__ == "__main__":
    main()
