#!/usr/bin/env python3
"""Measure the workloads of `benches/workloads`, and write tables and plots from the figures.

    tools/benchmarks.py run [--kind trace|recursive] [--only NAME ...] [--repeat N] [--long] [--scalar]
    tools/benchmarks.py render [--kind trace|recursive] [--check]

`run` builds the bench and runs each workload N times under each kind of proof, or the one that is
asked for, each time in a process of its own; it keeps the run that took the least CPU seconds to
prove. It merges the figures into docs/benchmarks/results.json by workload, kind and label, with the
machine, the compiler, the date and the commit. A workload that the binary does not know is skipped
with a note. `--scalar` turns the curve arithmetic of AVX-512 IFMA off (LAYERFOLD_SCALAR=1) and files
the figures under the label `scalar`; `--label` names another build or setting.

`render` reads that file and docs/benchmarks/others.json (figures that others published), and
writes the tables between `<!-- begin: NAME -->` and `<!-- end: NAME -->` in BENCHMARKS.md and the
plots docs/benchmarks/*.svg; with `--kind` of one kind of proof only. Its output depends on these
files alone.

Python 3.9 or later, standard library only.
"""

import argparse
import datetime
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "benchmarks"
RESULTS = FOLDER / "results.json"
OTHERS = FOLDER / "others.json"
PAGE = ROOT / "BENCHMARKS.md"

DEPTHS = [3, 5, 10, 20, 40, 60, 80, 100, 200, 500]
# Up to this depth the networks have 32 inputs and 100 outputs, beyond it 784 and 1000.
SMALL_DEPTH = 40

RNN = "Elman, ReLU, {t} frames of 16 entries into 64 units"
DEPTH_SMALL = "{n} layers, 32 inputs, 100 and 200 wide in turn, 100 outputs, ReLU"
DEPTH = "{n} layers, 784 inputs, 100 and 200 wide in turn, 1000 outputs, ReLU"

# In the order of the tables.
WORKLOADS = {
    "mnist-mlp": "MNIST digits, 784-128-10, ReLU; one image",
    "batch-20": "20 inferences of `mnist-mlp` in one proof",
    "audit-20": "on how many of 20 labelled images `mnist-mlp` is right; answers hidden",
    "credit": "the score of 20-32-16-1 (ReLU, sigmoid) is at least a threshold; score hidden",
    "deep-16": "16 layers of 128×128, ReLU",
    "deep-64": "64 layers of 128×128, ReLU",
    **{
        f"depth-{n}": (DEPTH_SMALL if n <= SMALL_DEPTH else DEPTH).format(n=n)
        for n in DEPTHS
    },
    "dense-4m": "4 layers of 1000×1000, ReLU",
    "zator-8": "28×28: conv 3×3 1→2, 8 conv 3×3 2→2, each with ReLU, dense 1568→10",
    "zator-64": "the same with 64 inner convolutions",
    "cnn-mnist": "28×28: conv 5×5 stride 2 1→8, 8→16, each with ReLU, dense 256→10",
    "lenet": "28×28: conv 5×5 1→6, 6→16, average pools, dense 256-120-84-10, ReLU",
    "resmlp-8": "8 residual blocks x + W₂·relu(W₁·x), width 128, dense to 10",
    "rnn-8": RNN.format(t=8),
    "rnn-32": RNN.format(t=32),
    "rnn-128": RNN.format(t=128),
    "rnn-512": RNN.format(t=512),
    "rnntanh-128": "Elman, tanh, 128 frames of 16 entries into 64 units",
    "lstm-100": "LSTM, 100 frames of 16 entries into 64 units",
    "gru-100": "GRU, 100 frames of 16 entries into 64 units",
    "gru-1000": "the same, 1,000 frames",
    "gru-10000": "the same, 10,000 frames",
}
# Some twenty minutes on two cores when folded; a trace of it takes gigabytes, and is made only if that
# kind is asked for.
LONG = ["gru-10000"]
KINDS = ("trace", "recursive")
# Figures without a label fill the tables; these stand beside them.
SCALAR = "scalar"
# Spans of the proof of a trace, as the bench tells them.
PARTS = [
    "inference",
    "layout",
    "commit",
    "lookups",
    "functional",
    "products",
    "gates",
    "point",
    "end",
    "opening",
    "rest",
]
FORMAT = 2
UNKNOWN = "no such workload"


class Failure(Exception):
    """Something to tell the user, without a traceback."""


# --------------------------------------------------------------------------------------------------
# Measuring


def note(text):
    print(text, file=sys.stderr, flush=True)


def output_of(*command):
    """What a command prints, or None if it is not there or fails."""
    try:
        done = subprocess.run(
            command, cwd=ROOT, check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def first_match(path, pattern):
    try:
        found = re.search(pattern, Path(path).read_text(errors="replace"), re.MULTILINE)
    except OSError:
        return None
    return found.group(1).strip() if found else None


def machine():
    """Processor, cores and memory of this machine; nothing that names it."""
    cpu = (
        first_match("/proc/cpuinfo", r"^model name\s*:\s*(.+)$")
        or output_of("sysctl", "-n", "machdep.cpu.brand_string")
        or platform.processor()
        or platform.machine()
    )
    # Model names of virtual machines say little; the instruction set tells the generation.
    flags = set((first_match("/proc/cpuinfo", r"^flags\s*:\s*(.+)$") or "").split())
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count()
    kib = first_match("/proc/meminfo", r"^MemTotal:\s+(\d+) kB$")
    return {
        "cpu": cpu,
        "avx512_ifma": "avx512ifma" in flags,
        "cores": cores,
        "memory_mib": int(kib) // 1024 if kib else None,
        "system": platform.system(),
        "kernel": ".".join(platform.release().split(".")[:2]),
    }


def commit():
    """The commit, and whether sources differ from it."""
    changed = output_of("git", "diff", "--name-only", "HEAD") or ""
    ours = {"BENCHMARKS.md", "COMPARE.md", "tools/benchmarks.py"}
    sources = [
        path
        for path in changed.splitlines()
        if path not in ours and not path.startswith("docs/")
    ]
    return {
        "commit": output_of("git", "rev-parse", "--short=10", "HEAD"),
        "changed": bool(sources),
    }


def build():
    """Builds the bench and returns its executable."""
    command = ["cargo", "bench", "--locked", "--no-run", "--bench", "workloads"]
    note("building: " + " ".join(command))
    try:
        done = subprocess.run(
            [*command, "--message-format=json-render-diagnostics"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
    except OSError as e:
        raise Failure(f"cargo: {e}") from None
    if done.returncode != 0:
        raise Failure("the bench does not build")
    found = None
    for line in done.stdout.splitlines():
        try:
            message = json.loads(line)
        except ValueError:
            continue
        target = message.get("target", {}).get("name")
        if target == "workloads" and message.get("executable"):
            found = message["executable"]
    if found is None:
        raise Failure("cargo named no executable of the bench `workloads`")
    return found


def measure_once(binary, name, timeout, kind, environment):
    """One process; returns its report, or None if it does not know the workload."""
    try:
        done = subprocess.run(
            [binary, name, "--json", "--kind", kind],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except OSError as e:
        raise Failure(f"{name}: {e}") from None
    except subprocess.TimeoutExpired:
        raise Failure(f"{name}: stopped after {timeout} s") from None
    if done.returncode != 0:
        if UNKNOWN in done.stderr:
            return None
        lines = done.stderr.strip().splitlines()
        raise Failure(lines[-1] if lines else f"{name}: status {done.returncode}")
    try:
        report = json.loads(done.stdout)
    except ValueError:
        raise Failure(f"{name}: the bench printed no JSON") from None
    if not isinstance(report, dict) or report.get("workload") != name:
        raise Failure(f"{name}: the report is not of this workload")
    if report.get("kind") != kind:
        raise Failure(f"{name}: the proof is not of the kind {kind}")
    seconds = report.get("prove_cpu_s")
    if not isinstance(seconds, (int, float)) or not seconds > 0:
        raise Failure(f"{name}: the report has no `prove_cpu_s`")
    return report


# Kept of every run, to show the spread.
SPREAD = ["prove_cpu_s", "prove_wall_s", "verify_cpu_s", "setup_cpu_s", "peak_mib"]


def measure(binary, name, repeat, timeout, kind, environment):
    """Runs a workload `repeat` times. Returns the best report and what each run took."""
    reports = []
    for k in range(repeat):
        report = measure_once(binary, name, timeout, kind, environment)
        if report is None:
            return None
        reports.append(report)
        wall = report.get("prove_wall_s", math.nan)
        note(
            f"  {name}, {kind}, run {k + 1} of {repeat}: prove {report['prove_cpu_s']:.3f} CPU s, {wall:.3f} s"
        )
    best = min(reports, key=lambda r: r["prove_cpu_s"])
    runs = [{key: r[key] for key in SPREAD if key in r} for r in reports]
    return best, runs


def load(path, empty):
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return empty
    except ValueError as e:
        raise Failure(f"{path.name}: {e}") from None


def order(workload):
    """Position in the tables: as listed above, others after them by name."""
    names = list(WORKLOADS)
    known = names.index(workload) if workload in WORKLOADS else len(names)
    return (known, workload)


def store(path, results, entry):
    """Merges an entry, in place of one of the same workload, kind and label, and writes the file."""

    def key(e):
        return (e["label"], KINDS.index(e["kind"]), order(e["workload"]))

    entries = [e for e in results["entries"] if key(e) != key(entry)]
    entries.append(entry)
    entries.sort(key=key)
    results["entries"] = entries
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".json.new")
    draft.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    os.replace(draft, path)


def load_results(path):
    results = load(path, {"format": FORMAT, "entries": []})
    if results.get("format") != FORMAT:
        raise Failure(f"{path.name} is not of format {FORMAT}")
    return results


def run(options):
    names = options.only or [n for n in WORKLOADS if options.long or n not in LONG]
    kinds = [options.kind] if options.kind else KINDS
    pairs = [
        (name, kind)
        for name in names
        for kind in kinds
        if options.kind or kind == "recursive" or name not in LONG
    ]
    results = load_results(options.results)
    binary = options.binary or build()
    environment = {"LAYERFOLD_SCALAR": "1" if options.scalar else ""}
    about = {
        "machine": machine(),
        "rustc": output_of("rustc", "--version"),
        "rustflags": os.environ.get("RUSTFLAGS", ""),
        **commit(),
    }
    skipped, failed = [], []
    for name, kind in pairs:
        load_before = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        try:
            measured = measure(binary, name, options.repeat, options.timeout, kind, environment)
        except Failure as e:
            note(f"  failed: {name}, {kind}: {e}")
            failed.append(f"{name} ({kind})")
            continue
        if measured is None:
            note(f"  {name}: skipped, this version of the bench does not know it")
            skipped.append(f"{name} ({kind})")
            continue
        figures, runs = measured
        figures.pop("workload")
        figures.pop("kind")
        today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        entry = {
            "workload": name,
            "kind": kind,
            "label": SCALAR if options.scalar else options.label,
            "date": today,
            **about,
            "load_before": None if load_before is None else round(load_before, 2),
            "runs": runs,
            "figures": figures,
        }
        store(options.results, results, entry)
    note(
        f"{len(pairs) - len(skipped) - len(failed)} measured, {len(skipped)} skipped, {len(failed)} failed"
    )
    if skipped:
        note("skipped: " + ", ".join(skipped))
    if failed:
        note("failed: " + ", ".join(failed))
    return 1 if failed else 0


# --------------------------------------------------------------------------------------------------
# Tables

NONE = "–"


def seconds(value):
    """Three digits that count, as far as tenths of a millisecond; no exponent."""
    if value is None:
        return NONE
    if value == 0:
        return "0"
    if value < 0.0005:
        return "<0.001"
    digits = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:,.{min(digits, 4)}f}"


def whole(value):
    return NONE if value is None else f"{round(value):,}"


def table(header, rows):
    """A Markdown table; all columns but the first are numbers."""
    lines = ["| " + " | ".join(header) + " |"]
    lines.append("|" + "|".join(["---"] + ["---:"] * (len(header) - 1)) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


class Figures:
    """The entries of one kind of proof and one label, by workload."""

    def __init__(self, results, kind, label=""):
        self.entries = {
            e["workload"]: e
            for e in results["entries"]
            if (e["kind"], e["label"]) == (kind, label)
        }

    def names(self):
        return sorted(self.entries, key=order)

    def get(self, workload, key):
        entry = self.entries.get(workload)
        if entry is None:
            return None
        if key == "setup_cpu_s":
            # The first run may have had to make generators; the others find them in the cache.
            found = [r[key] for r in entry.get("runs", []) if key in r]
            return min(found) if found else entry["figures"].get(key)
        return entry["figures"].get(key)

    def mark(self, workload):
        """Marks figures that were copied from a page and not recorded by this script."""
        entry = self.entries.get(workload)
        return "†" if entry and entry.get("copied_from") else ""


class All:
    """The figures of a rendering: those of both kinds, and what stands beside them."""

    def __init__(self, results, only=None):
        def of(kind, label=""):
            # Of a kind that is not asked for there are none.
            return Figures(results if only in (None, kind) else {"entries": []}, kind, label)

        self.trace, self.recursive = (of(kind) for kind in KINDS)
        self.scalar = of("trace", SCALAR)
        self.kinds = {"trace": self.trace, "recursive": self.recursive}

    def names(self):
        return sorted({n for f in self.kinds.values() for n in f.entries}, key=order)


NO_FIGURES = "No figures yet: `tools/benchmarks.py run`."


def columns_of(figures, names, columns):
    """A column for each key: its entries, by name."""
    out = []
    for key, show in columns:
        column = []
        for name in names:
            value = figures.get(name, key)
            # A copied figure has the digits of its page and no more.
            copied = figures.mark(name) and value is not None
            column.append(f"{value:,}" if copied else show(value))
        out.append(column)
    return out


def assemble(names, marks, groups):
    """A table of groups of `(header, figures, columns)`; columns without an entry are left out."""
    header = ["workload"]
    columns = [[f"`{name}`{mark}" for name, mark in zip(names, marks)]]
    for titles, figures, keys in groups:
        for title, column in zip(titles, columns_of(figures, names, keys)):
            if any(entry != NONE for entry in column):
                header.append(title)
                columns.append(column)
    if not names or len(header) == 1:
        return NO_FIGURES
    return table(header, [list(row) for row in zip(*columns)])


def part(titles, figures, columns, names=None):
    names = figures.names() if names is None else names
    return assemble(names, [figures.mark(n) for n in names], [(titles, figures, columns)])


def text(value):
    return NONE if value is None else value


def summary_block(all_figures, _others):
    """Both kinds of proof, side by side."""
    names = all_figures.names()
    groups = []
    # What both have in common is that of the kind which has it.
    for key, title in (("weights", "weights"), ("frames", "frames")):
        found = {}
        for figures in all_figures.kinds.values():
            found = {n: figures.get(n, key) if found.get(n) is None else found[n] for n in names}
        groups.append(([title], Common(found), [(key, whole)]))
    for kind, figures in all_figures.kinds.items():
        columns = [
            ("prove, CPU s", "prove_cpu_s", seconds),
            ("wall s", "prove_wall_s", seconds),
            ("verify, CPU s", "verify_cpu_s", seconds),
            ("bytes", "proof_bytes", whole),
            ("peak, MiB", "peak_mib", whole),
        ]
        if kind == "recursive":
            columns.insert(0, ("steps", "steps", whole))
        titles = [f"{kind}: {columns[0][0]}", *(title for title, _, _ in columns[1:])]
        groups.append((titles, figures, [(key, show) for _, key, show in columns]))
    marks = [all_figures.trace.mark(n) or all_figures.recursive.mark(n) for n in names]
    return assemble(names, marks, groups)


class Common:
    """One figure of each workload, whatever the kind of proof."""

    def __init__(self, values):
        self.values = values

    def get(self, workload, _key):
        return self.values[workload]

    def mark(self, _workload):
        return ""


def parts_block(all_figures, _others):
    """A trace, by part of the argument."""
    figures = all_figures.trace
    names = [n for n in figures.names() if figures.get(n, "trace_parts_cpu_s")]
    if not names:
        return "No figures yet: `tools/benchmarks.py run --kind trace`."
    rows = []
    for name in names:
        of = figures.get(name, "trace_parts_cpu_s")
        prove, whole_trace = figures.get(name, "prove_cpu_s"), sum(of.values())
        row = [f"`{name}`{figures.mark(name)}", milliseconds(prove - whole_trace)]
        row += [milliseconds(of.get(p)) for p in PARTS]
        row += [milliseconds(prove), milliseconds(figures.get(name, "first_trace_cpu_s"))]
        row.append(milliseconds(figures.get(name, "commit_cpu_s")))
        rows.append(row)
    return table(["workload", "session", *PARTS, "**prove**", "first", "weights"], rows)


def milliseconds(value):
    if value is None:
        return NONE
    value *= 1000
    return f"{value:,.0f}" if value >= 100 else f"{max(value, 0):.1f}"


def activations_block(all_figures, _others):
    """What a result of ReLU or of a table costs, all else included."""
    trace, recursive = all_figures.trace, all_figures.recursive
    rows = []
    for name in trace.names():
        count = trace.get(name, "activations")
        if not count:
            continue
        row = [f"`{name}`{trace.mark(name)}", whole(count), whole(trace.get(name, "weights"))]
        for figures in (trace, recursive):
            value = figures.get(name, "prove_cpu_s")
            row.append(NONE if value is None else f"{1e6 * value / count:,.1f}")
        rows.append(row)
    if not rows:
        return "No figures yet: `tools/benchmarks.py run --kind trace`."
    header = ["workload", "activations", "weights", "trace, CPU µs each", "recursive, CPU µs each"]
    if all(row[-1] == NONE for row in rows):
        header, rows = header[:-1], [row[:-1] for row in rows]
    return table(header, rows)


def scalar_block(all_figures, _others):
    """With the curve arithmetic of AVX-512 IFMA and without."""
    wide, plain_code = all_figures.trace, all_figures.scalar
    rows = []
    for name in plain_code.names():
        entry = wide.entries.get(name)
        if entry is None or not (entry.get("machine") or {}).get("avx512_ifma"):
            continue
        row = [f"`{name}`"]
        for key in ("prove_cpu_s", "verify_cpu_s", "commit_cpu_s"):
            with_it, without = wide.get(name, key), plain_code.get(name, key)
            row += [milliseconds(with_it), milliseconds(without)]
        row.append(f"{plain_code.get(name, 'prove_cpu_s') / wide.get(name, 'prove_cpu_s'):.1f}")
        rows.append(row)
    if not rows:
        return "No figures yet: `tools/benchmarks.py run --kind trace --scalar`, on a processor with AVX-512 IFMA."
    header = ["workload", "prove: with", "without", "verify: with", "without", "commit to the weights: with", "without", "proving takes … times as long"]
    return table(header, rows)


def stages_block(all_figures, _others):
    figures = all_figures.recursive
    titles = ["inference", "sumcheck", "fold", "compress", "opening", "**prove**", "keys", "commit"]
    keys = [
        "inference_cpu_s",
        "sumcheck_cpu_s",
        "fold_cpu_s",
        "compress_cpu_s",
        "opening_cpu_s",
        "prove_cpu_s",
        "setup_cpu_s",
        "commit_cpu_s",
    ]
    names = [n for n in figures.names() if figures.get(n, "compress_cpu_s") is not None]
    return part(titles, figures, [(key, seconds) for key in keys], names)


def sizes_block(all_figures, _others):
    figures = all_figures.recursive
    titles = [
        "step constraints",
        "primary circuit",
        "secondary circuit",
        "key bytes",
        "commitment bytes",
        "checkpoint bytes",
        "peak folding, MiB",
    ]
    keys = [
        "step_constraints",
        "primary_constraints",
        "secondary_constraints",
        "key_bytes",
        "commitment_bytes",
        "checkpoint_bytes",
        "peak_mib_folding",
    ]
    names = [n for n in figures.names() if figures.get(n, "key_bytes") is not None]
    return part(titles, figures, [(key, whole) for key in keys], names)


def streams_block(all_figures, _others):
    figures = all_figures.recursive
    long_runs = [n for n in figures.names() if (figures.get(n, "frames") or 0) >= 20]
    return part(
        [
            "frames",
            "CPU s a frame, first tenth",
            "last tenth",
            "all",
            "peak MiB, first tenth",
            "all frames",
        ],
        figures,
        [
            ("frames", whole),
            ("cpu_s_per_frame_first", seconds),
            ("cpu_s_per_frame_last", seconds),
            ("cpu_s_per_frame", seconds),
            ("peak_mib_tenth", whole),
            ("peak_mib_folding", whole),
        ],
        [n for n in long_runs if figures.get(n, "cpu_s_per_frame_first") is not None],
    )


def noise_block(all_figures, _others):
    rows = []
    for name in all_figures.names():
        for kind, figures in all_figures.kinds.items():
            entry = figures.entries.get(name)
            runs = [r["prove_cpu_s"] for r in entry.get("runs", [])] if entry else []
            if len(runs) < 2:
                continue
            least, middle, most = min(runs), statistics.median(runs), max(runs)
            spread = f"{100 * (most / least - 1):.0f} %"
            rows.append(
                [f"`{name}`, {kind}", str(len(runs)), seconds(least), seconds(middle), seconds(most), spread]
            )
    if not rows:
        return "No workload was run more than once."
    header = ["workload", "runs", "least CPU s", "median", "most", "most over least"]
    return table(header, rows)


def workloads_block(all_figures, _others):
    names = list(WORKLOADS) + [n for n in all_figures.names() if n not in WORKLOADS]
    rows = [
        f"| `{n}` | {WORKLOADS.get(n, NONE)} | `cargo bench --bench workloads -- {n}` |"
        for n in names
    ]
    return "\n".join(["| workload | what it is | command |", "|---|---|---|", *rows])


def describe(entry):
    if entry.get("copied_from"):
        return entry["copied_from"]
    m = entry["machine"]
    text = f"{m['cpu']}, {m['cores']} cores"
    if m.get("avx512_ifma"):
        text += " with AVX-512 IFMA"
    if m.get("memory_mib"):
        text += f", {m['memory_mib'] / 1024:.1f} GiB"
    text += f", {m['system']} {m['kernel']}; {entry['rustc']}"
    if entry.get("rustflags"):
        text += f" with `RUSTFLAGS={entry['rustflags']}`"
    text += f"; commit {entry['commit']}"
    if entry.get("changed"):
        text += " with changes"
    return f"{text}; {entry['date']}"


def machines_block(all_figures, _others):
    lines = []
    groups = [*all_figures.kinds.items(), ("trace, scalar curve arithmetic", all_figures.scalar)]
    for kind, figures in groups:
        by_text = {}
        for name in figures.names():
            entry = figures.entries[name]
            text = ("† " if entry.get("copied_from") else "") + describe(entry)
            by_text.setdefault(text, []).append(name)
        for text, names in by_text.items():
            lines.append(f"- {kind}: {text}: " + ", ".join(f"`{n}`" for n in names) + ".")
    for kind, figures in all_figures.kinds.items():
        missing = [f"`{n}`" for n in WORKLOADS if n not in figures.entries]
        if len(missing) == len(WORKLOADS):
            lines.append(f"- {kind}: not measured yet.")
        elif missing:
            lines.append(f"- {kind}: not measured yet: " + ", ".join(missing) + ".")
    return "\n".join(lines)


def depth_block(all_figures, others):
    """Ours and others' side by side, a column each."""
    suite = others["depth"]
    header = ["layers"]
    header += [f"{kind}, {unit}" for kind in KINDS for unit in ("CPU s", "wall s", "peak MiB")]
    header += [f"{s['system']}, s" for s in suite["series"]]
    header += [f"{s['system']}, GB" for s in suite["series"]]
    depths = sorted(set(DEPTHS) | {p["x"] for s in suite["series"] for p in s["points"]})
    rows = []
    for n in depths:
        name = f"depth-{n}"
        row = [str(n)]
        for figures in all_figures.kinds.values():
            row.append(seconds(figures.get(name, "prove_cpu_s")))
            row.append(seconds(figures.get(name, "prove_wall_s")))
            row.append(whole(figures.get(name, "peak_mib")))
        for key in ("seconds", "gigabytes"):
            for series in suite["series"]:
                point = next((p for p in series["points"] if p["x"] == n), None)
                if point is None:
                    row.append(NONE)
                elif point.get("failed"):
                    row.append("fails")
                else:
                    row.append(f"{point[key]:g}")
        if any(cell != NONE for cell in row[1:]):
            rows.append(row)
    return table(header, rows)


def ezkl_block(all_figures, others):
    header = ["workload", "EZKL, CPU s", "EZKL, MiB"]
    header += [f"{kind}, {unit}" for kind in KINDS for unit in ("CPU s", "MiB")]
    rows = []
    for row in others["ezkl"]["rows"]:
        name = row["workload"]
        rows.append(
            [
                f"`{name}`" + (f", {row['how']}" if row.get("how") else ""),
                row.get("shown") or seconds(row["seconds"]),
                whole(row["mebibytes"]),
            ]
        )
        for figures in all_figures.kinds.values():
            rows[-1] += [seconds(figures.get(name, "prove_cpu_s")), whole(figures.get(name, "peak_mib"))]
    return table(header, rows)


BLOCKS = {
    "workloads": workloads_block,
    "machines": machines_block,
    "summary": summary_block,
    "parts": parts_block,
    "activations": activations_block,
    "scalar": scalar_block,
    "stages": stages_block,
    "sizes": sizes_block,
    "streams": streams_block,
    "noise": noise_block,
    "depth": depth_block,
    "ezkl": ezkl_block,
}


def with_blocks(page, blocks):
    """The page with the text between its markers replaced."""
    seen = []

    def replace(found):
        name = found.group(1)
        if name not in blocks:
            raise Failure(f"{PAGE.name}: no block is called `{name}`")
        seen.append(name)
        return f"<!-- begin: {name} -->\n{blocks[name]}\n<!-- end: {name} -->"

    pattern = r"<!-- begin: ([a-z-]+) -->\n.*?<!-- end: \1 -->"
    text = re.sub(pattern, replace, page, flags=re.DOTALL)
    missing = [name for name in blocks if name not in seen]
    if missing or len(seen) != len(set(seen)):
        raise Failure(f"{PAGE.name}: blocks {missing or seen} are missing or doubled")
    return text


# --------------------------------------------------------------------------------------------------
# Plots

WIDTH, HEIGHT = 880, 470
LEFT, RIGHT, TOP, BOTTOM = 74, 274, 52, 62

# Okabe and Ito's colours, which those who see few colours can tell apart; light and dark mode.
COLOURS = {
    "ours": ("#0072b2", "#56b4e9"),
    "ours-recursive": ("#0072b2", "#56b4e9"),
    "ours-2": ("#009e73", "#2fd3a3"),
    "ours-2-recursive": ("#009e73", "#2fd3a3"),
    "other-1": ("#d55e00", "#ff8c42"),
    "other-2": ("#a3568a", "#e39cc8"),
    "other-3": ("#8a6d00", "#e6c229"),
    "other-4": ("#555555", "#bbbbbb"),
}
DASHES = {"ours-recursive": "5 4", "ours-2-recursive": "5 4"}
MARKERS = {
    "ours": "circle",
    "ours-recursive": "ring",
    "ours-2": "square",
    "ours-2-recursive": "box",
    "other-1": "diamond",
    "other-2": "triangle",
    "other-3": "cross",
    "other-4": "plus",
}


class Series:
    """A named line: points `(x, y)`, or `(x, y, least, most)`; `breaks` are x after which it is cut."""

    def __init__(self, style, label, points, breaks=()):
        self.style = style
        self.label = label
        self.points = sorted(points)
        self.breaks = breaks

    def lines(self):
        line, lines = [], []
        for point in self.points:
            if line and any(line[-1][0] <= b < point[0] for b in self.breaks):
                lines.append(line)
                line = []
            line.append(point)
        return lines + [line] if line else lines


def marker(kind, x, y, style):
    """A mark of some five units around a point."""
    c = f'class="{style}"'
    if kind == "circle":
        return f'<circle {c} data-fill="1" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    if kind == "ring":
        return f'<circle {c} cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    if kind in ("square", "box"):
        fill = ' data-fill="1"' if kind == "square" else ""
        return f'<rect {c}{fill} x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'
    moves = {
        "diamond": "m0-5.5 5.5 5.5-5.5 5.5-5.5-5.5z",
        "triangle": "m0-5 5 9h-10z",
        "cross": "m-4-4 8 8m0-8-8 8",
        "plus": "m-5 0h10m-5-5v10",
    }
    fill = ' data-fill="1"' if kind in ("diamond", "triangle") else ""
    return f'<path {c}{fill} d="M{x:.1f} {y:.1f}{moves[kind]}"/>'


def style_sheet(styles):
    """Light mode by default, dark where the reader asks for it; the ground is part of the plot."""

    def rules(side):
        ground, text, grid = [("#ffffff", "#1f2328", "#d9dde2"), ("#0d1117", "#e6edf3", "#30363d")][side]
        out = [
            f".ground{{fill:{ground}}}",
            f"text{{fill:{text}}}",
            f".axis{{stroke:{text}}}",
            f".grid{{stroke:{grid}}}",
        ]
        for style in styles:
            colour = COLOURS[style][side]
            out.append(f".{style}{{stroke:{colour}}}")
            out.append(f".{style}[data-fill]{{fill:{colour}}}")
            if style in ("ours-recursive", "ours-2-recursive"):
                # Hollow marks hide the line behind them.
                out.append(f"circle.{style},rect.{style}{{fill:{ground}}}")
        return "".join(out)

    base = (
        "text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:13px}"
        ".title{font-size:15px;font-weight:600}.small{font-size:11.5px}"
        ".axis{fill:none;stroke-width:1.2}.grid{fill:none;stroke-width:1}"
    )
    base += "".join(f".{s}{{fill:none;stroke-width:2}}" for s in styles)
    base += "".join(
        f"polyline.{s}{{stroke-dasharray:{DASHES[s]}}}" for s in styles if s in DASHES
    )
    return f"{base}{rules(0)}@media(prefers-color-scheme:dark){{{rules(1)}}}"


def range_of(values):
    """Least and most, widened to 1, 2 or 5 times a power of ten."""
    least, most = min(values), max(values)
    steps = [m * 10.0**e for e in range(-4, 9) for m in (1, 2, 5)]
    low = max((s for s in steps if s <= least / 1.05), default=steps[0])
    high = min((s for s in steps if s >= most * 1.05), default=steps[-1])
    return low, high


def plain(value):
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def ticks(low, high):
    found = []
    for exponent in range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1):
        for m in (1, 2, 5):
            value = m * 10.0**exponent
            if low * 0.999 <= value <= high * 1.001:
                found.append(value)
    if len(found) > 11:
        found = [v for v in found if f"{v:e}".startswith("1")]
    return found


def plot(title, x_label, y_label, notes, series):
    """An SVG with logarithmic axes; None without points."""
    series = [s for s in series if s.points]
    if not series:
        return None
    xs = [p[0] for s in series for p in s.points]
    ys = [v for s in series for p in s.points for v in p[1:]]
    (x_low, x_high), (y_low, y_high) = range_of(xs), range_of(ys)
    inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(x, y):
        across = math.log(x / x_low) / math.log(x_high / x_low)
        up = math.log(y / y_low) / math.log(y_high / y_low)
        return LEFT + across * inner_width, TOP + (1 - up) * inner_height

    styles = sorted({s.style for s in series})
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(x_label)} across, {escape(y_label)} up, both logarithmic. {escape(' '.join(notes))}</desc>",
        f"<style>{style_sheet(styles)}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
        f'<text class="title" x="{LEFT}" y="28">{escape(title)}</text>',
    ]
    bottom, right = TOP + inner_height, LEFT + inner_width
    for value in ticks(x_low, x_high):
        x, _ = at(value, y_low)
        out.append(f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>')
        out.append(f'<text x="{x:.1f}" y="{bottom + 19}" text-anchor="middle">{plain(value)}</text>')
    for value in ticks(y_low, y_high):
        _, y = at(x_low, value)
        out.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{plain(value)}</text>')
    out.append(f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>')
    middle = LEFT + inner_width / 2
    out.append(f'<text x="{middle:.1f}" y="{HEIGHT - 16}" text-anchor="middle">{escape(x_label)}</text>')
    turned = TOP + inner_height / 2
    out.append(
        f'<text x="18" y="{turned:.1f}" text-anchor="middle" transform="rotate(-90 18 {turned:.1f})">{escape(y_label)}</text>'
    )
    for s in series:
        kind = MARKERS[s.style]
        for line in s.lines():
            places = [at(p[0], p[1]) for p in line]
            if len(places) > 1:
                joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
                out.append(f'<polyline class="{s.style}" points="{joined}"/>')
            for point, (x, y) in zip(line, places):
                if len(point) == 4:
                    (_, below), (_, above) = at(x=point[0], y=point[2]), at(point[0], point[3])
                    out.append(f'<path class="{s.style}" d="M{x:.1f} {below:.1f}V{above:.1f}"/>')
                out.append(marker(kind, x, y, s.style))
    x, y = right + 18, TOP + 10
    for s in series:
        out.append(f'<polyline class="{s.style}" points="{x},{y} {x + 26},{y}"/>')
        out.append(marker(MARKERS[s.style], x + 13, y, s.style))
        for k, line in enumerate(s.label.split("\n")):
            small = ' class="small"' if k else ""
            out.append(f'<text{small} x="{x + 34}" y="{y + 4}">{escape(line)}</text>')
            y += 17
        y += 7
    y = max(y + 6, bottom - 16 * len(notes) + 12)
    for line in notes:
        out.append(f'<text class="small" x="{x}" y="{y}">{escape(line)}</text>')
        y += 16
    out.append("</svg>")
    return "\n".join(out) + "\n"


def points_of(figures, prefix, sizes, key):
    found = [(n, figures.get(f"{prefix}-{n}", key)) for n in sizes]
    return [(n, value) for n, value in found if value]


def sizes_of(figures, prefix):
    """The sizes T of all measured workloads `prefix-T`."""
    found = (re.fullmatch(rf"{prefix}-(\d+)", name) for name in figures.names())
    return [int(m.group(1)) for m in found if m]


def published(series, key):
    """Points `(x, y)` of others, without those that failed."""
    return [(p["x"], p[key]) for p in series["points"] if p.get(key)]


def with_range(p, key):
    if f"{key}_least" in p:
        return (p["x"], p[key], p[f"{key}_least"], p[f"{key}_most"])
    return (p["x"], p[key])


def plots(all_figures, others):
    """File names and SVG texts."""
    trace, recursive = all_figures.trace, all_figures.recursive
    suite, sequence = others["depth"], others["sequence"]["series"]

    def depth(key, theirs, unit):
        ours = [
            ("ours", f"layerfold, trace\n{unit}", trace),
            ("ours-recursive", f"layerfold, recursive\n{unit}", recursive),
        ]
        found = []
        for style, label, figures in ours:
            points = points_of(figures, "depth", sizes_of(figures, "depth"), key)
            found.append(Series(style, label, points, [SMALL_DEPTH]))
        for k, s in enumerate(suite["series"]):
            points = published(s, theirs)
            if theirs == "gigabytes":
                points = [(x, y * 1e9 / 2**20) for x, y in points]
            found.append(Series(f"other-{k + 1}", f"{s['system']}\n{s['caption']}", points))
        return found

    def frames(key, theirs):
        found = []
        for cell, name, style in (("Elman", "rnn", "ours"), ("GRU", "gru", "ours-2")):
            for kind, figures, end in (("trace", trace, ""), ("recursive", recursive, "-recursive")):
                points = points_of(figures, name, sizes_of(figures, name), key)
                found.append(Series(style + end, f"{cell}, layerfold\n{kind}", points))
        for k, s in enumerate(sequence):
            points = [with_range(p, theirs) for p in s["points"] if p.get(theirs)]
            found.append(Series(f"other-{k + 1}", f"{s['system']}\n{s['caption']}", points))
        return found

    depth_notes = [
        "Up to 40 layers: 32 inputs, 100 outputs;",
        "beyond: 784 inputs, 1,000 outputs.",
        *suite["notes"],
    ]
    cpu = "CPU seconds, all cores"
    sequence_notes = ["64 units, 16 inputs a frame."]
    return {
        "depth-time.svg": plot(
            "Time to prove against depth",
            "layers",
            "seconds",
            depth_notes,
            depth("prove_cpu_s", "seconds", cpu),
        ),
        "depth-memory.svg": plot(
            "Peak memory of the prover against depth",
            "layers",
            "MiB",
            depth_notes,
            depth("peak_mib", "gigabytes", "peak of the process"),
        ),
        "sequence-time.svg": plot(
            "Time to prove against length of the sequence",
            "frames",
            "seconds",
            [*sequence_notes, "CPU seconds, all cores."],
            frames("prove_cpu_s", "seconds"),
        ),
        "sequence-memory.svg": plot(
            "Peak memory of the prover against length of the sequence",
            "frames",
            "MiB",
            sequence_notes,
            frames("peak_mib", "mebibytes"),
        ),
    }


def render(options):
    results = load_results(options.results)
    others = load(options.others, None)
    if others is None:
        raise Failure(f"{options.others.name} is missing")
    figures = All(results, options.kind)
    blocks = {name: make(figures, others) for name, make in BLOCKS.items()}
    try:
        page = options.page.read_text()
    except OSError as e:
        raise Failure(str(e)) from None
    files = {options.page: with_blocks(page, blocks)}
    for name, text in plots(figures, others).items():
        if text is not None:
            files[options.plots / name] = text
    old = [p for p, text in files.items() if not p.exists() or p.read_text() != text]
    for path in old:
        if options.check:
            note(f"{path.name} is not what `tools/benchmarks.py render` writes")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path])
            note(f"wrote {path.name}")
    return 1 if options.check and old else 0


# --------------------------------------------------------------------------------------------------


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--results", type=Path, default=RESULTS, help="figures, JSON")
    shared.add_argument("--kind", choices=KINDS, help="this kind of proof alone (default: both)")
    runs = commands.add_parser("run", parents=[shared], help="measure")
    runs.add_argument("--only", nargs="+", metavar="NAME", help="these workloads alone")
    named = runs.add_mutually_exclusive_group()
    named.add_argument("--scalar", action="store_true", help="curve arithmetic without AVX-512 IFMA")
    named.add_argument("--label", default="", help="name of a build or a setting, kept apart from others")
    runs.add_argument("--repeat", type=positive, default=3, metavar="N", help="runs of each (default: 3)")
    runs.add_argument("--long", action="store_true", help=f"also {', '.join(LONG)}")
    runs.add_argument("--timeout", type=positive, metavar="S", help="give up on a run after S seconds")
    runs.add_argument("--binary", help="use this executable and build nothing")
    renders = commands.add_parser("render", parents=[shared], help="write tables and plots")
    renders.add_argument("--others", type=Path, default=OTHERS, help="figures of others, JSON")
    renders.add_argument("--page", type=Path, default=PAGE, help="page with the markers")
    renders.add_argument("--plots", type=Path, default=FOLDER, help="folder of the plots")
    renders.add_argument("--check", action="store_true", help="write nothing; fail if something would change")
    options = parser.parse_args()
    try:
        return run(options) if options.command == "run" else render(options)
    except Failure as e:
        note(f"benchmarks.py: {e}")
        return 1
    except KeyboardInterrupt:
        note("stopped; what was measured so far is kept")
        return 130


if __name__ == "__main__":
    sys.exit(main())
