#!/usr/bin/env python3
"""Simulate a pump, train the small GRU that the stream example proves, and write its data.

How to run it (about a minute on one CPU core):

    python3 -m venv venv
    venv/bin/pip install -r tools/requirements.txt
    venv/bin/python tools/train_stream.py --out examples/data

The data are simulated by this script with fixed seeds. They come from no real pump, and the
accuracies printed here say nothing about real ones. Everything written here has the licence
of the project.

The task: six sensors watch a pump, one frame each second. For every frame, say whether the
pump is healthy (0), cavitating (1) or has a worn bearing (2).

    x0  vibration, root mean square       mm/s
    x1  vibration, high band              g
    x2  motor current                     A
    x3  bearing temperature               degrees Celsius
    x4  discharge pressure                bar
    x5  flow                              m^3/h

A fault grows over 40 to 120 seconds to a severity between 0.7 and 1; the label is that of
the fault while the severity is at least LABEL_FROM. Healthy pumps show the same signs for a
few seconds: entrained air disturbs pressure and flow as cavitation does, knocks on the frame
raise the high band as a worn bearing does, and changes of speed and valve move every channel.
Ambient temperature and sensor gains differ from run to run. One frame is thus ambiguous.

The network takes x = (value - CENTRE) / SPREAD, rounded to four decimals. It is a GRU as in
PyTorch (gates in the order r, z, n) from a zero state, and a dense head on every frame:

    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)      z likewise
    n = tanh(W_in x + b_in + r * (W_hn h + b_hn))
    h' = (1 - z) * n + z * h,      logits = head.weight h' + head.bias

The logits become probabilities by softmax. Training is AdamW with a one-cycle learning rate
through whole runs of 900 frames (backpropagation through time); weight decay and label
smoothing keep weights and pre-activations in the range that quantised inference can hold.
A multilayer perceptron on single frames is trained in the same way, for comparison.

Files written to OUT:
    pump-gru-6-24-3.safetensors   gru.{weight,bias}_{ih,hh}_l0, head.weight, head.bias
    pump-calibration.csv          frames 600 to 719 of the first 8 training runs
    pump-sample.csv               the first 300 frames of a test run, with labels

With `--validate` the script trains on the same runs, measures on validation runs and writes
nothing: use that to choose hyperparameters, so that the test runs stay unseen. With `--check`
it trains nothing, reads the files in OUT and compares the floats with integer inference.

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

SEED = 20240602
TRAIN_SEED, VALIDATE_SEEDS, TEST_SEEDS = 1, (2, 4), (5, 6)  # for runs of FRAMES and of LONG_FRAMES
TRAIN_RUNS, TEST_RUNS, LONG_RUNS = 288, 96, 24
FRAMES, LONG_FRAMES = 900, 3000
STATES = ("healthy", "cavitation", "bearing wear")
HEALTHY, CAVITATION, WEAR = range(3)
LABEL_FROM = 0.25

CENTRE = np.array([2.6, 0.95, 7.8, 45.0, 2.5, 21.0])
SPREAD = np.array([0.8, 0.5, 1.6, 8.0, 1.1, 5.5])

INPUTS, HIDDEN, BASELINE_HIDDEN = 6, 24, 32
EPOCHS, BATCH, BASELINE_EPOCHS = 60, 16, 30
PEAK_RATE, WEIGHT_DECAY, SMOOTHING, CLIP = 1e-2, 0.15, 0.02, 1.0

CALIBRATION_RUNS, CALIBRATION_FRAMES = 8, slice(600, 720)
SAMPLE_FRAMES, SAMPLE_ONSET = 300, range(120, 180)
WEIGHTS_FILE, CALIBRATION_FILE = "pump-gru-6-24-3.safetensors", "pump-calibration.csv"
SAMPLE_FILE = "pump-sample.csv"


# The pump. Arrays of signals are [frames, runs]; one frame is one second.


def lag(signal, seconds):
    """First-order lag along the frames, in equilibrium at the start."""
    out = np.empty_like(signal)
    value = signal[0]
    for t, target in enumerate(signal):
        value = value + (target - value) / seconds
        out[t] = value
    return out


def since(events):
    """Index of the last frame at or before each frame with an event (0 if there is none)."""
    return np.maximum.accumulate(np.where(events, np.arange(len(events))[:, None], 0), axis=0)


def steps(rng, shape, seconds, low, high):
    """A level that jumps to another between `low` and `high` every `seconds` on average."""
    jumps = since(rng.random(shape) < 1 / seconds)
    return np.take_along_axis(rng.uniform(low, high, shape), jumps, axis=0)


def bursts(rng, shape, seconds):
    """Disturbances of 3 to 12 seconds and severity 0.3 to 1, `seconds` apart on average."""
    starts = rng.random(shape) < 1 / seconds
    time = np.arange(shape[0])[:, None]
    ends = np.maximum.accumulate(np.where(starts, time + rng.integers(3, 13, shape), 0), axis=0)
    severity = np.take_along_axis(rng.uniform(0.3, 1, shape), since(starts), axis=0)
    return severity * (time < ends)


def simulate(seed, runs, frames):
    """Frames [frames, runs, 6] as the network takes them, and labels [frames, runs].

    The runs are healthy, get cavitation and get a worn bearing in turn. Cavitation may pass;
    wear stays.
    """
    rng = np.random.default_rng((SEED, seed))
    shape = (frames, runs)
    time, kind = np.arange(frames)[:, None], np.arange(runs) % len(STATES)

    onset = rng.uniform(60, 0.6 * frames, runs)
    growth, peak = rng.uniform(40, 120, runs), rng.uniform(0.7, 1, runs)
    passes = onset + growth + rng.uniform(100, 600, runs)
    fault = np.clip((time - onset) / growth, 0, 1) * peak
    fault = np.where(kind == CAVITATION, fault * np.clip(1 - (time - passes) / 30, 0, 1), fault)
    labels = np.where(fault >= LABEL_FROM, kind, HEALTHY)

    speed = lag(steps(rng, shape, 45, 0.45, 1.0), 5)
    valve = lag(steps(rng, shape, 70, 0.75, 1.25), 4)
    change = np.abs(np.diff(speed, axis=0, prepend=speed[:1]))
    # What the sensors see: a fault, or a passing disturbance that looks like it.
    air = np.maximum(fault * (kind == CAVITATION), bursts(rng, shape, 40))
    wear = fault * (kind == WEAR)
    knock = np.maximum(wear, bursts(rng, shape, 40))

    def noise(spread):
        return rng.normal(0, spread, shape)

    def gain(spread):
        return 1 + rng.uniform(-spread, spread, runs)

    turbulence = lag(noise(2.0), 1.5)
    rms = gain(0.2) * (1.2 + 1.8 * speed**2 + 8 * change + 1.1 * air + 0.4 * knock)
    high = gain(0.2) * (0.35 + 0.5 * speed + 0.25 * air + 0.6 * knock + 3 * change)
    current = gain(0.05) * (4 + 7 * speed**2 * valve**0.5 - 0.5 * air + 0.3 * wear + 12 * change)
    ambient = rng.uniform(8, 34, runs)
    temperature = lag(ambient + 12 + 20 * speed**2 + 14 * wear, 80)
    pressure = gain(0.05) * 4.5 * speed**2 / valve * (1 - 0.10 * air + 0.09 * air * turbulence)
    flow = gain(0.05) * 29 * speed * valve * (1 - 0.06 * air + 0.07 * air * turbulence)
    values = np.stack(
        [
            rms * np.exp(noise(0.16)),
            high * np.exp(noise(0.25)),
            current + noise(0.3),
            temperature + noise(0.4),
            pressure + noise(0.12),
            flow + noise(0.7),
        ],
        axis=-1,
    )
    return np.round((values - CENTRE) / SPREAD, 4).astype(np.float32), labels


# The networks. Parameters are dictionaries by name; logits are [frames, runs, 3].


def sigmoid(a):
    return 0.5 + 0.5 * np.tanh(0.5 * a)


def dense(p, name, x):
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def dense_gradients(name, x, d_out):
    """Gradients of a dense layer, from those of its outputs."""
    flat = d_out.reshape(-1, d_out.shape[-1])
    return {
        f"{name}.weight": flat.T @ x.reshape(-1, x.shape[-1]),
        f"{name}.bias": flat.sum(axis=0),
    }


def gru_forward(p, x):
    """Return what backpropagation needs: the states before and after every frame
    [frames + 1, runs, HIDDEN], r and z side by side, n, and W_hn h + b_hn."""
    frames, runs, _ = x.shape
    from_input = x @ p["gru.weight_ih_l0"].T + p["gru.bias_ih_l0"]
    h = np.zeros((frames + 1, runs, HIDDEN), x.dtype)
    rz = np.empty((frames, runs, 2 * HIDDEN), x.dtype)
    n, n_h = (np.empty((frames, runs, HIDDEN), x.dtype) for _ in range(2))
    weight, bias = np.ascontiguousarray(p["gru.weight_hh_l0"].T), p["gru.bias_hh_l0"]
    for t in range(frames):
        from_state = h[t] @ weight + bias
        rz[t] = sigmoid(from_input[t, :, : 2 * HIDDEN] + from_state[:, : 2 * HIDDEN])
        n_h[t] = from_state[:, 2 * HIDDEN :]
        n[t] = np.tanh(from_input[t, :, 2 * HIDDEN :] + rz[t, :, :HIDDEN] * n_h[t])
        h[t + 1] = n[t] + rz[t, :, HIDDEN:] * (h[t] - n[t])
    return h, rz, n, n_h


def gru_logits(p, x):
    return dense(p, "head", gru_forward(p, x)[0][1:])


def gru_gradients(p, x, labels):
    """Gradients of the loss, backpropagated through all frames."""
    h, rz, n, n_h = gru_forward(p, x)
    d_logits = loss_gradient(dense(p, "head", h[1:]), labels)
    gradients = dense_gradients("head", h[1:], d_logits)
    d_states = d_logits @ p["head.weight"]
    # Of the pre-activations: as the input's product and as the state's product enter them.
    d_input = np.empty((*n.shape[:2], 3 * HIDDEN), x.dtype)
    d_hidden = np.empty_like(d_input)
    d_h = np.zeros_like(h[0])
    for t in reversed(range(len(x))):
        r, z = rz[t, :, :HIDDEN], rz[t, :, HIDDEN:]
        d_h += d_states[t]
        d_n = d_h * (1 - z) * (1 - n[t] * n[t])
        d_input[t, :, :HIDDEN] = d_n * n_h[t] * r * (1 - r)
        d_input[t, :, HIDDEN : 2 * HIDDEN] = d_h * (h[t] - n[t]) * z * (1 - z)
        d_input[t, :, 2 * HIDDEN :] = d_n
        d_hidden[t] = d_input[t]
        d_hidden[t, :, 2 * HIDDEN :] *= r
        d_h = d_h * z + d_hidden[t] @ p["gru.weight_hh_l0"]
    for side, inputs, d in (("ih", x, d_input), ("hh", h[:-1], d_hidden)):
        flat = d.reshape(-1, 3 * HIDDEN)
        gradients[f"gru.weight_{side}_l0"] = flat.T @ inputs.reshape(-1, inputs.shape[-1])
        gradients[f"gru.bias_{side}_l0"] = flat.sum(axis=0)
    return gradients


def baseline_logits(p, x):
    return dense(p, "out", np.tanh(dense(p, "in", x)))


def baseline_gradients(p, x, labels):
    hidden = np.tanh(dense(p, "in", x))
    d_logits = loss_gradient(dense(p, "out", hidden), labels)
    d_hidden = (d_logits @ p["out.weight"]) * (1 - hidden * hidden)
    return dense_gradients("out", hidden, d_logits) | dense_gradients("in", x, d_hidden)


def loss_gradient(logits, labels):
    """Gradient of the smoothed cross-entropy, the mean over frames and runs, by the logits."""
    soft = np.exp(logits - logits.max(axis=-1, keepdims=True))
    soft /= soft.sum(axis=-1, keepdims=True)
    smooth = np.float32(SMOOTHING / len(STATES))
    target = np.eye(len(STATES), dtype=np.float32)[labels] * np.float32(1 - SMOOTHING) + smooth
    return (soft - target) / np.float32(labels.size)


def initial(rng, shapes):
    """Parameters uniform within 1 / sqrt(fan), as PyTorch starts them."""
    return {
        name: rng.uniform(-(fan**-0.5), fan**-0.5, shape).astype(np.float32)
        for name, (shape, fan) in shapes.items()
    }


def train(p, gradients, x, labels, epochs, rng):
    """Train the parameters `p` in place with AdamW on whole runs."""
    mean = {k: np.zeros_like(v) for k, v in p.items()}
    square = {k: np.zeros_like(v) for k, v in p.items()}
    runs = labels.shape[1]
    step, last = 0, epochs * (runs // BATCH)
    for _ in range(epochs):
        order = rng.permutation(runs)
        for batch in order[: runs // BATCH * BATCH].reshape(-1, BATCH):
            progress, step = step / last, step + 1
            warm, cool = progress / 0.1, 0.5 + 0.5 * np.cos(np.pi * (progress - 0.1) / 0.9)
            rate = np.float32(PEAK_RATE * (warm if progress < 0.1 else cool))
            grad = gradients(p, x[:, batch], labels[:, batch])
            norm = np.sqrt(sum(float((g * g).sum()) for g in grad.values()))
            shrink = np.float32(min(1, CLIP / (norm + 1e-12)))
            for k, g in grad.items():
                g = g * shrink
                mean[k] += np.float32(0.1) * (g - mean[k])
                square[k] += np.float32(0.001) * (g * g - square[k])
                m, s = mean[k] / np.float32(1 - 0.9**step), square[k] / np.float32(1 - 0.999**step)
                if "weight" in k:
                    p[k] *= 1 - rate * np.float32(WEIGHT_DECAY)
                p[k] -= rate * m / (np.sqrt(s) + np.float32(1e-8))
    return p


def train_gru(x, labels):
    rng = np.random.default_rng((SEED, 10))
    shapes = {
        "gru.weight_ih_l0": ((3 * HIDDEN, INPUTS), HIDDEN),
        "gru.weight_hh_l0": ((3 * HIDDEN, HIDDEN), HIDDEN),
        "gru.bias_ih_l0": ((3 * HIDDEN,), HIDDEN),
        "gru.bias_hh_l0": ((3 * HIDDEN,), HIDDEN),
        "head.weight": ((len(STATES), HIDDEN), HIDDEN),
        "head.bias": ((len(STATES),), HIDDEN),
    }
    return train(initial(rng, shapes), gru_gradients, x, labels, EPOCHS, rng)


def train_baseline(x, labels):
    rng = np.random.default_rng((SEED, 11))
    shapes = {
        "in.weight": ((BASELINE_HIDDEN, INPUTS), INPUTS),
        "in.bias": ((BASELINE_HIDDEN,), INPUTS),
        "out.weight": ((len(STATES), BASELINE_HIDDEN), BASELINE_HIDDEN),
        "out.bias": ((len(STATES),), BASELINE_HIDDEN),
    }
    return train(initial(rng, shapes), baseline_gradients, x, labels, BASELINE_EPOCHS, rng)


# Integer inference, roughly as the library does it.


def requantize(sums, shift, bits=8):
    """Round `sums / 2^shift` and clamp it to signed `bits`; return it and how many were clamped."""
    q = (sums + (1 << (shift - 1))) >> shift
    clamped = np.clip(q, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    return clamped, int((q != clamped).sum())


def integer_logits(p, x, calibration):
    """Return logits and states in real units, and the shares of clamped frame entries and
    pre-activations.

    Frames have 8 bits at a scale from the calibration frames [n, 6]. Gate pre-activations have
    8 bits in steps of 1/16, those of n in steps of 1/32; gates have the unit 2^-12, the state has
    16 bits and the unit 2^-15. Products read the state as 8 bits, h = (h8 + 1/2) / 2^7. The head's
    scale is fixed here; the library calibrates it.
    """
    shift = 9
    frame_unit, state_unit = float(np.abs(calibration).max()) / 127, 2.0**-7
    out_unit = np.repeat([1 / 16, 1 / 16, 1 / 32], HIDDEN)

    def integers(weight, bias, in_unit, unit):
        """Weights and biases; a half unit of the state goes into the bias."""
        unit = unit / 2**shift
        half = 0.5 * state_unit * weight.sum(axis=1) if in_unit == state_unit else 0
        w, b = np.rint(weight * in_unit / unit[:, None]), np.rint((bias + half) / unit)
        if np.abs(w).max() >= 1 << 15:
            raise ValueError("a weight does not fit 16 bits")
        return w.astype(np.int64), b.astype(np.int64)

    real = {k: v.astype(np.float64) for k, v in p.items()}
    w_x, b_x = integers(real["gru.weight_ih_l0"], real["gru.bias_ih_l0"], frame_unit, out_unit)
    w_h, b_h = integers(real["gru.weight_hh_l0"], real["gru.bias_hh_l0"], state_unit, out_unit)
    w_y, b_y = integers(real["head.weight"], real["head.bias"], state_unit, np.full(len(STATES), 1 / 16))
    entries = np.arange(-128, 128)
    gate = np.rint(2**12 * sigmoid(entries / 16)).astype(np.int64)
    candidate = np.minimum(np.rint(2**15 * np.tanh(entries / 32)), 2**15 - 1).astype(np.int64)

    frames = np.rint(x.astype(np.float64) / frame_unit).astype(np.int64)
    clamped_frames = float((np.clip(frames, -128, 127) != frames).mean())
    frames = np.clip(frames, -128, 127)
    from_input = frames @ w_x.T + b_x
    h = np.zeros((*x.shape[:2], HIDDEN), np.int64)
    logits = np.empty((*x.shape[:2], len(STATES)))
    state, clamped = h[0], 0
    for t in range(len(x)):
        from_state = (state >> 8) @ w_h.T + b_h
        both = from_input[t] + from_state
        rz, lost = requantize(both[:, : 2 * HIDDEN], shift)
        rz, clamped = gate[rz + 128], clamped + lost
        r, z = rz[:, :HIDDEN], rz[:, HIDDEN:]
        n_x, n_h = from_input[t, :, 2 * HIDDEN :], from_state[:, 2 * HIDDEN :]
        n, lost = requantize((n_x << 12) + r * n_h, shift + 12)
        n, clamped = candidate[n + 128], clamped + lost
        state = ((n << 12) + z * (state - n) + (1 << 11)) >> 12
        h[t] = state
        logits[t] = ((state >> 8) @ w_y.T + b_y) / 2.0 ** (shift + 4)
    share = clamped / (x.shape[0] * x.shape[1] * 3 * HIDDEN)
    return logits, h / 2.0**15, clamped_frames, share


# Reports.


def accuracy(logits, labels):
    """Share of frames whose largest logit is the label."""
    return float((logits.argmax(axis=-1) == labels).mean())


def report(name, logits, labels):
    guess = logits.argmax(axis=-1)
    right = [float((guess[labels == state] == state).mean()) for state in range(len(STATES))]
    of_states = ", ".join(f"{name} {share:.4f}" for name, share in zip(STATES, right))
    of_all = f"{accuracy(logits, labels):.4f} of the frames right"
    print(f"    {name}: {of_all}; {of_states}, mean {np.mean(right):.4f}")


def ranges(p, x):
    """Print how far weights and pre-activations reach."""
    weights = max(float(np.abs(v).max()) for v in p.values())
    h, rz, n, _ = gru_forward({k: v.astype(np.float64) for k, v in p.items()}, x.astype(np.float64))
    gates, candidates = np.abs(np.log(rz / (1 - rz))), np.abs(np.arctanh(n))
    print(
        f"    largest weight or bias {weights:.2f}, frame entry {np.abs(x).max():.2f}; pre-activations: "
        f"gates up to {gates.max():.1f}, {(gates > 8).mean():.2%} beyond 8, "
        f"n up to {candidates.max():.1f}, {(candidates > 4).mean():.2%} beyond 4"
    )


def held_out(name, seeds):
    """Frames and labels of runs as long as the training runs, and of longer ones."""
    sizes = ((TEST_RUNS, FRAMES), (LONG_RUNS, LONG_FRAMES))
    return {
        f"{name}, {runs} runs of {frames} frames": simulate(seed, runs, frames)
        for seed, (runs, frames) in zip(seeds, sizes)
    }


def check(out):
    """Compare floats with integers on the test runs, for the weights in `out`."""
    p = load_file(out / WEIGHTS_FILE)
    calibration = np.loadtxt(out / CALIBRATION_FILE, delimiter=",", skiprows=1)[:, 1:]
    sample = np.loadtxt(out / SAMPLE_FILE, delimiter=",", skiprows=1)
    cases = held_out("test", TEST_SEEDS) | {
        "sample": (sample[:, None, :-1].astype(np.float32), sample[:, None, -1].astype(np.int64))
    }
    for name, (x, labels) in cases.items():
        h = gru_forward(p, x)[0][1:]
        real = dense(p, "head", h)
        logits, states, clamped_frames, clamped = integer_logits(p, x, calibration)
        difference = np.abs(states - h)
        same = (logits.argmax(axis=-1) == real.argmax(axis=-1)).mean()
        print(
            f"{name}: float {accuracy(real, labels):.4f}, integers {accuracy(logits, labels):.4f}, "
            f"same answer {same:.4f}; state differs by {difference.mean():.4f} on average, "
            f"{difference.max():.3f} at most; clamped: frame entries {clamped_frames:.3%}, "
            f"pre-activations {clamped:.3%}"
        )
        ranges(p, x)


def write(out, p, x, test_x, test_labels):
    """Write the three files."""
    out.mkdir(parents=True, exist_ok=True)
    # One metadata entry: the order of several is not fixed, and the file must be reproducible.
    note = (
        "Architecture: GRU 6-24 (PyTorch layout and equations), dense head 24-3 on every frame. Trained "
        "by tools/train_stream.py on a pump simulated there. Licence: MIT or Apache-2.0."
    )
    tensors = {k: np.ascontiguousarray(v, dtype=np.float32) for k, v in p.items()}
    (out / WEIGHTS_FILE).write_bytes(save(tensors, metadata={"description": note}))

    lines = ["sequence," + ",".join(f"x{i}" for i in range(INPUTS))]
    for run in range(CALIBRATION_RUNS):
        lines += [f"{run}," + row(frame) for frame in x[CALIBRATION_FRAMES, run]]
    (out / CALIBRATION_FILE).write_text("\n".join(lines) + "\n")

    # The first test run whose fault shows in the middle of the sample.
    onset = (test_labels != HEALTHY).argmax(axis=0)
    run = next(i for i, frame in enumerate(onset) if frame in SAMPLE_ONSET)
    frames, labels = test_x[:SAMPLE_FRAMES, run], test_labels[:SAMPLE_FRAMES, run]
    lines = [",".join(f"x{i}" for i in range(INPUTS)) + ",label"]
    lines += [row(frame) + f",{label}" for frame, label in zip(frames, labels)]
    (out / SAMPLE_FILE).write_text("\n".join(lines) + "\n")
    print(f"sample: test run {run}, {STATES[labels.max()]} from frame {onset[run]}")


def row(frame):
    return ",".join(f"{v:.4f}" for v in frame)


def main():
    parser = argparse.ArgumentParser(description="Train the GRU of the stream example.")
    parser.add_argument("--out", type=Path, help="folder to write to, or to check")
    parser.add_argument("--validate", action="store_true", help="measure on validation runs")
    parser.add_argument("--check", action="store_true", help="compare floats and integers in OUT")
    args = parser.parse_args()
    if args.out is None and not args.validate:
        parser.error("--out is required")
    if args.check:
        check(args.out)
        return

    x, labels = simulate(TRAIN_SEED, TRAIN_RUNS, FRAMES)
    baseline, p = train_baseline(x, labels), train_gru(x, labels)
    cases = held_out("validation", VALIDATE_SEEDS) if args.validate else held_out("test", TEST_SEEDS)
    for name, (held_x, held_labels) in ({"training": (x, labels)} | cases).items():
        print(f"{name}: {(held_labels == HEALTHY).mean():.4f} of the frames healthy")
        report("single frames", baseline_logits(baseline, held_x), held_labels)
        report("GRU", gru_logits(p, held_x), held_labels)
        ranges(p, held_x)
    if not args.validate:
        write(args.out, p, x, *next(iter(cases.values())))


if __name__ == "__main__":
    main()
