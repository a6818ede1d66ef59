#!/usr/bin/env python3
"""A second verifier of layerfold's trace proofs, written from docs/notes/protocol.md, section 13.

    verify_trace.py PROGRAM COMMITMENT STATEMENT.json PROOF      0 valid, 1 invalid, 2 unreadable
    verify_trace.py --list DIRECTORY                             every case of DIRECTORY/list

PROGRAM is the postcard of a program that Rust has validated, COMMITMENT what
`ModelCommitment::to_bytes` writes, PROOF the argument: the bytes c and f, and the body. The statement:

    {"context": hex, "parameters": [integers], "frames": T, "own_rows": bool,
     "inputs": {"entries": [integers]} or {"digest": hex}, "outputs": alike}

Plain integers, no dependencies, nothing fast: it is there to be compared with the text.
"""
import hashlib
import json
import math
import os
import sys
import time as clock

P = 0x40000000000000000000000000000000224698FC094CF91B992D30ED00000001  # base field of Pallas
R = 0x40000000000000000000000000000000224698FC0994A8DD8C46EB2100000001  # its scalar field, F


class Invalid(Exception):
    pass


class Unreadable(Exception):
    pass


def need(condition, why):
    if not condition:
        raise Invalid(why)


def bits(n):
    """The least k with 2^k >= n."""
    return max(n - 1, 0).bit_length()


def le(n, size=8):
    return (n % (1 << 8 * size)).to_bytes(size, "little")


def shake(label, data, size=32):
    return hashlib.shake_256(label.encode() + data).digest(size)


# ---------------------------------------------------------------- the curve y^2 = x^3 + 5

ROOT = pow(5, (P - 1) >> 32, P)  # of unity, of order 2^32


def sqrt(a):
    """A square root modulo P, or None (Tonelli and Shanks)."""
    odd = (P - 1) >> 32
    w = pow(a, odd >> 1, P)
    x, b, z, m = a * w % P, a * w * w % P, ROOT, 32
    while b > 1:
        k, t = 0, b
        while t != 1:
            t, k = t * t % P, k + 1
            if k == m:
                return None
        for _ in range(m - k - 1):
            z = z * z % P
        x, z, m = x * z % P, z * z % P, k
        b = b * z % P
    return x


def double(p):
    x, y, z = p
    a, b = x * x % P, y * y % P
    d = 4 * x * b % P
    e = 3 * a
    f = (e * e - 2 * d) % P
    return f, (e * (d - f) - 8 * b * b) % P, 2 * y * z % P


def add(p, q):
    """Jacobian coordinates; the identity has z = 0."""
    if not p[2]:
        return q
    if not q[2]:
        return p
    (x1, y1, z1), (x2, y2, z2) = p, q
    a, b = z1 * z1 % P, z2 * z2 % P
    u, v = x1 * b % P, x2 * a % P
    s, t = y1 * b * z2 % P, y2 * a * z1 % P
    if u == v:
        return double(p) if s == t else IDENTITY
    h, r = v - u, t - s
    hh = h * h % P
    hhh = h * hh % P
    c = u * hh % P
    x = (r * r - hhh - 2 * c) % P
    return x, (r * (c - x) - s * hhh) % P, z1 * z2 * h % P


IDENTITY = (1, 1, 0)


def negate(p):
    return p[0], -p[1] % P, p[2]


def multi(terms):
    """Sum of scalar * point, Pippenger's way."""
    terms = [(k % R, p) for k, p in terms if k % R]
    terms = [(R - k, negate(p)) if 2 * k > R else (k, p) for k, p in terms]
    if not terms:
        return IDENTITY
    w = max(2, min(12, len(terms).bit_length() - 3))
    total = IDENTITY
    for at in range((max(k for k, _ in terms).bit_length() + w - 1) // w * w, -1, -w):
        for _ in range(w):
            total = double(total)
        buckets = {}
        for k, p in terms:
            d = k >> at & (1 << w) - 1
            if d:
                buckets[d] = add(buckets[d], p) if d in buckets else p
        running = part = IDENTITY
        for d in range(max(buckets, default=0), 0, -1):
            if d in buckets:
                running = add(running, buckets[d])
            part = add(part, running)
        total = add(total, part)
    return total


def point_from(data):
    """A point from its one encoding: x, and the parity of y as the highest bit. Not the identity."""
    n = int.from_bytes(data, "little")
    x, sign = n & (1 << 255) - 1, n >> 255
    y = sqrt((x * x * x + 5) % P) if x < P else None
    if y is None or y == 0:
        raise Unreadable("no point")
    return x, (y if y & 1 == sign else P - y), 1


def svdw(u):
    """Shallue and van de Woestijne's map, RFC 9380, F.1."""
    z = (-13) % P
    g = lambda x: (x * x * x + 5) % P
    c1, c2 = g(z), -z * pow(2, -1, P) % P
    c3 = sqrt(-c1 * 3 * z * z % P)
    c3 = P - c3 if c3 & 1 else c3
    c4 = -4 * c1 * pow(3 * z * z, -1, P) % P
    tv1 = u * u % P * c1 % P
    tv2, tv1 = 1 + tv1, 1 - tv1
    product = tv1 * tv2 % P
    tv3 = pow(product, -1, P) if product else 0
    tv4 = u * tv1 * tv3 * c3 % P
    x1, x2 = (c2 - tv4) % P, (c2 + tv4) % P
    for x in (x1, x2, (pow(tv2 * tv2 * tv3, 2, P) * c4 + z) % P):
        y = sqrt(g(x))
        if y is not None:
            return x, (y if (y ^ u) & 1 == 0 else P - y), 1


def hash_to_curve(message):
    tag = b"from_uniform_bytespallas:SHA-256_SVDW_RO_"
    tag += bytes([len(tag)])
    h = lambda data: hashlib.sha256(data).digest()
    first = h(bytes(64) + message + bytes([0, 96, 0]) + tag)
    blocks = [h(first + b"\1" + tag)]
    for i in (2, 3):
        blocks.append(h(bytes(a ^ b for a, b in zip(first, blocks[-1])) + bytes([i]) + tag))
    wide = b"".join(blocks)
    return add(*(svdw(int.from_bytes(wide[i : i + 48], "big") % P) for i in (0, 48)))


GENERATORS = {}


def generators(label, count):
    """The first points of a label."""
    known = GENERATORS.setdefault(label, [])
    if len(known) < count:
        stream = hashlib.shake_256(label.encode()).digest(32 * count)
        for i in range(len(known), count):
            known.append(hash_to_curve(stream[32 * i : 32 * i + 32]))
    return known[:count]


def endomorphism():
    """The cube root of unity l with l * (X, Y) = (beta * X, Y)."""
    beta = 0x12CCCA834ACDBA712CAAD5DC57AAB1B01D1F8BD237AD31491DAD5EBDFDFE4AB9
    root = pow(5, (R - 1) // 3, R)
    p = (P - 1, sqrt(4), 1)
    for l in (root, root * root % R):
        x, y, z = multi([(l, p)])
        if (x - beta * p[0] * z * z) % P == 0 and (y - p[1] * z**3) % P == 0:
            return l


LAMBDA = endomorphism()


# ---------------------------------------------------------------- programs and commitments

OPERATIONS = "affine combine dot requantize relu lookup sign zero indicators argmax accumulate slice concat".split()
FRAME = "frame", 0


class Reader:
    """Postcard, in its shortest form only."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if n > len(self.data) - self.at:
            raise Unreadable("truncated")
        self.at += n
        return self.data[self.at - n : self.at]

    def u8(self):
        return self.take(1)[0]

    def uint(self, size=32):
        n = shift = 0
        while True:
            b = self.u8()
            n |= (b & 127) << shift
            shift += 7
            if not b & 128:
                break
        if n >> size or (b == 0 and shift > 7):
            raise Unreadable("not canonical")
        return n

    def int(self, size=32):
        n = self.uint(size)
        return n >> 1 ^ -(n & 1)

    def bool(self):
        b = self.u8()
        if b > 1:
            raise Unreadable("no bool")
        return bool(b)

    def list(self, item):
        return [item() for _ in range(self.uint(64))]

    def option(self, item):
        return item() if self.bool() else None

    def u64(self):
        return int.from_bytes(self.take(8), "little")


def signed_bits(least, most):
    """The least width of signed integers that hold a range."""
    return 1 + max((~v if v < 0 else v).bit_length() for v in (least, most))


def held(shape):
    """Width and offset: with the offset added, the range is in [0, 2^width)."""
    _, least, most = shape
    width = signed_bits(least, most)
    return (max(width, 2) - 1, 0) if least >= 0 else (width, 1 << (width - 1))


def rounding(shift):
    return 1 << shift >> 1 if shift else 0


class Window:
    """Axes are (size, positions, offsets, stride, dilation, start)."""

    def __init__(self, axes, by_rows):
        self.axes, self.by_rows = tuple(axes), by_rows
        self.positions = math.prod(axis[1] for axis in axes)
        wide = [axis for axis in axes if axis[2] > 1]
        self.plain = not wide or (len(wide) == 1 and wide[0][1] == 1)

    def key(self):
        return self.axes, self.by_rows

    def columns(self):
        """The column of every offset, in order."""
        columns = [0]
        for _, _, offsets, *_ in self.axes:
            columns = [(j << bits(offsets)) + d for j in columns for d in range(offsets)]
        first = 1 if self.plain else 1 << sum(bits(axis[2]) for axis in self.axes)
        return [first + j for j in columns]

    def reads(self, position):
        """The entry under every offset at a position, or None."""
        places = []
        for _, positions, *_ in reversed(self.axes):
            places.insert(0, position % positions)
            position //= positions
        entries = [0]
        for (size, _, offsets, stride, dilation, start), p in zip(self.axes, places):
            own = [stride * p + dilation * d + start for d in range(offsets)]
            there = [x if 0 <= x < size else None for x in own]
            entries = [None if x is None or e is None else e * size + x for e in entries for x in there]
        return entries


class Program:
    def __init__(self, data):
        r = Reader(data)
        self.digest = shake("layerfold/program/3", data)
        vector = lambda: (r.uint(), r.u8())
        register = lambda: self.register(r)
        self.maps = r.list(lambda: (r.uint(), r.uint()))
        self.tables = r.list(lambda: (r.int(), r.list(r.int)))
        self.frame = vector()
        self.carried = r.list(lambda: dict(shape=vector(), initial=r.list(r.int), next=register(), parameter=r.bool()))
        operation = lambda: self.operation(r)
        self.operations, self.head = r.list(operation), r.list(operation)
        self.output = register(), r.uint()
        self.last = {0: False, 1: True}.get(r.uint())
        self.limit = r.uint(64)
        if self.last is None or r.at != len(data):
            raise Unreadable("no program")
        self.dimensions = (
            bits(len(self.maps)),
            max(1, bits(max((m for m, _ in self.maps), default=1))),
            max(1, bits(1 + max((n for _, n in self.maps), default=1))),
        )
        self.shapes = self.register_shapes()

    @staticmethod
    def register(r):
        kind = r.uint()
        if kind > 2:
            raise Unreadable("no register")
        return (FRAME, ("carried", 0), ("result", 0))[kind][0], r.uint() if kind else 0

    @staticmethod
    def window(r):
        axes = r.list(lambda: (*(r.uint() for _ in range(5)), r.int()))
        order = r.uint()
        if order > 1:
            raise Unreadable("no window")
        return Window(axes, order == 0)

    @staticmethod
    def operation(r):
        kind = r.uint()
        if kind >= len(OPERATIONS):
            raise Unreadable("no operation")
        kind, reg = OPERATIONS[kind], lambda: Program.register(r)
        term = lambda: (r.uint(), reg(), r.option(lambda: Program.window(r)))
        fields = {
            "affine": lambda: (r.list(term), r.uint(64)),
            "combine": lambda: (r.int(64), r.list(lambda: (r.int(), reg(), r.option(reg)))),
            "dot": lambda: (reg(), r.list(r.int)),
            "requantize": lambda: (reg(), r.u8(), r.u8(), r.u8()),
            "lookup": lambda: (reg(), r.uint()),
            "indicators": lambda: (reg(), r.uint()),
            "accumulate": lambda: (r.uint(), reg()),
            "slice": lambda: (reg(), r.uint(), r.uint()),
            "concat": lambda: (r.list(reg),),
        }
        return kind, fields.get(kind, lambda: (reg(),))()

    def value(self, table, x):
        """Of a table at x; 0 where it has none."""
        least, values = self.tables[table]
        return values[x - least] if 0 <= x - least < len(values) else 0

    def register_shapes(self):
        """(length, least, greatest value) of all registers."""
        signed = lambda len, width: (len, -1 << (width - 1), (1 << (width - 1)) - 1)
        shapes = {FRAME: signed(*self.frame)}
        for k, part_ in enumerate(self.carried):
            shapes["carried", k] = signed(*part_["shape"])

        def combine(constant, monomials):
            names = sorted({x for _, a, b in monomials for x in (a, b) if x is not None})
            sums = []
            for corner in range(1 << len(names)):
                at = {name: shapes[name][1 + (corner >> k & 1)] for k, name in enumerate(names)}
                sums.append(constant + sum(k * at[a] * (1 if b is None else at[b]) for k, a, b in monomials))
            return shapes[monomials[0][1]][0], min(sums), max(sums)

        def dot(r, coefficients):
            ends = [sorted(c * x for x in shapes[r][1:]) for c in coefficients]
            return 1, sum(a for a, _ in ends), sum(b for _, b in ends)

        def requantize(r, shift, drop, width):
            n, *ends = shapes[r]
            _, least, most = signed(n, width)
            return n, *(min(max(y + rounding(shift) >> shift + drop, least), most) for y in ends)

        def concat(inputs):
            lens, least, most = zip(*(shapes[r] for r in inputs))
            return sum(lens), min(least), max(most)

        def affine(terms, reach):
            l, _, window = terms[0]
            return self.maps[l][0] * (window.positions if window else 1), -reach, reach

        for at, (kind, o) in enumerate(self.operations + self.head):
            of = lambda r: shapes[r]
            shapes["result", at] = {
                "affine": lambda: affine(*o),
                "combine": lambda: combine(*o),
                "dot": lambda: dot(*o),
                "requantize": lambda: requantize(*o),
                "relu": lambda: (of(o[0])[0], *(max(x, 0) for x in of(o[0])[1:])),
                "lookup": lambda: (of(o[0])[0], min(self.tables[o[1]][1]), max(self.tables[o[1]][1])),
                "sign": lambda: (of(o[0])[0], 0, 1),
                "zero": lambda: (of(o[0])[0], 0, 1),
                "argmax": lambda: (of(o[0])[0], 0, 1),
                "indicators": lambda: (o[1], 0, 1),
                "accumulate": lambda: signed(*self.carried[o[0]]["shape"]),
                "slice": lambda: (o[2],) + of(o[0])[1:],
                "concat": lambda: concat(*o),
            }[kind]()
        return shapes


class Commitment:
    def __init__(self, data):
        r = Reader(data)
        if r.take(8) != b"LFmodel1":
            raise Unreadable("no commitment")
        self.digest = shake("layerfold/model/1", data[8:])
        self.dimensions = r.u64(), r.u64(), r.u64()
        self.column_bits, count = r.u64(), r.u64()
        if r.u64() != count:
            raise Unreadable("number of maps")
        self.maps = [(r.u64(), r.u64()) for _ in range(count)]
        self.rows = [r.take(32) for _ in range(r.u64())]
        if r.at != len(data):
            raise Unreadable("trailing bytes")
        self.rows = [point_from(row) for row in self.rows]

    def check(self, program):
        need(self.dimensions == program.dimensions and self.maps == program.maps, "a model of another program")
        need(1 <= self.column_bits <= program.dimensions[2], "rows of the model are no parts of rows")
        parts = lambda n: (n >> self.column_bits) + 1
        self.parts = [(l, i, k) for l, (m, n) in enumerate(self.maps) for i in range(m) for k in range(parts(n))]
        need(len(self.parts) == len(self.rows), "rows of the model")


# ---------------------------------------------------------------- 13.2: systems
#
# A box is (time, len, inner); an axis map is (kind, from, to, what); a view is a key (source, map of frames,
# map of entries) of a dictionary of numbers, its source ("col" | "pub" | "part", index).


def flat(time, length):
    return time, length, length


def index_bits(box):
    """Those of frames, of rows and within a row."""
    time, length, inner = box
    return bits(time), bits(length // inner), bits(inner)


def whole(n):
    return "shift", 0, n, 0


def after(m, a):
    """The map that reads through m what a reads. None: there is none. ("nothing",): it reads nothing."""
    kind, lo, hi, what = m
    if lo >= hi:
        return ("nothing",)
    if kind == "shift":
        lo, hi = max(lo, a[1] - what), min(hi, a[2] - what)
        return (a[0], lo, hi, a[3] + what if a[0] in ("shift", "prefix") else a[3]) if lo < hi else ("nothing",)
    if kind == "prefix":
        return (kind, lo, hi, what) if a[0] == "shift" and a[1] == 0 and a[3] == 0 else None
    if kind == "weights" and a[0] in ("weights", "prefix"):
        return None
    g = [0] * what + [1] if kind == "cell" else what
    if kind == "cell" and a[0] in ("shift", "cell"):
        if not a[1] <= what < a[2]:
            return ("nothing",)
        return "cell", lo, hi, what + a[3] if a[0] == "shift" else a[3]
    pulled = pull(a, dict(enumerate(g)))
    if not pulled:
        return ("nothing",)
    return "weights", lo, hi, tuple(pulled.get(c, 0) for c in range(max(pulled) + 1))


def pull(m, weights):
    """Weights of the cells, from weights of what is read through a map."""
    kind, lo, hi, what = m
    there = {x: w for x, w in weights.items() if lo <= x < hi}
    if kind == "shift":
        return {x + what: w for x, w in there.items()}
    total = sum(there.values())
    if kind == "cell":
        return {what: total}
    if kind == "weights":
        return {c: g * total for c, g in enumerate(what)}
    result, total = {}, 0
    for c in range(max(there, default=-1 - what) + what, -1, -1):
        total += there.get(c - what, 0)
        result[c] = total
    return result


class Form:
    def __init__(self, box, views=None):
        self.box, self.views, self.affine, self.products = box, dict(views or {}), [], {}

    def linear(self):
        return not self.affine and not self.products

    def slides(self):
        return any(window for _, (_, _, _, window, _) in self.affine)

    def put(self, key, number):
        number += self.views.get(key, 0)
        if number:
            self.views[key] = number
        else:
            self.views.pop(key, None)

    def plus(self, other, number=1):
        result = Form(self.box, self.views)
        result.affine, result.products = list(self.affine), dict(self.products)
        for key, k in other.views.items():
            result.put(key, k * number)
        terms = {}
        for k, term in result.affine + [(k * number, term) for k, term in other.affine]:
            l, bias, rows, window, x = term
            key = l, bias, rows, window and window.key(), x.key()
            terms[key] = terms.get(key, (0,))[0] + k, term
        result.affine = [(k, term) for k, term in terms.values() if k]
        for e, k in other.products.items():
            result.products[e] = result.products.get(e, 0) + k * number
        result.products = {e: k for e, k in result.products.items() if k}
        return result

    def shifted(self, number):
        """Plus a constant: a view of public vector 0."""
        time, len, _ = self.box
        return self.plus(Form(self.box, {(("pub", 0), ("cell", 0, time, 0), ("cell", 0, len, 0)): 1}), number)

    def read(self, box, frames, entries, system=None):
        """Read through maps; None if that is no form. Products are those of both sides read so."""
        result = Form(box)
        if self.slides():
            return None
        if not self.linear() and (frames != whole(self.box[0]) or entries[0] not in ("shift", "cell")):
            return None
        for (source, t, i), k in self.views.items():
            if frames[0] == "prefix" and source[0] == "part":
                return None
            if entries[0] == "weights" and i[0] == "cell":
                # A weighted sum of one cell is that cell times a number.
                k *= sum(g for c, g in enumerate(entries[3]) if i[1] <= c < i[2])
                i = ("cell",) + entries[1:3] + (i[3],)
            else:
                i = after(entries, i)
            t = after(frames, t)
            if t is None or i is None:
                return None
            if t[0] != "nothing" and i[0] != "nothing":
                result.put((source, t, i), k)
        for k, (l, bias, rows, window, x) in self.affine:
            rows = after(entries, rows)
            if rows[0] != "nothing":
                result.affine.append((k, (l, bias, rows, window, x)))
        for e, k in self.products.items():
            _, left, right = system.products[e]
            left, right = left.read(box, frames, entries), right.read(box, frames, entries)
            if left is None or right is None:
                return None
            if left.views and right.views:
                result = result.plus(system.product(left, right, False), k)
        return result

    def key(self):
        return self.box, frozenset(self.views.items())


class Quotient:
    """floor((y + half) / 2^shift), clamped; y is `source`: a register, from an entry on."""

    def __init__(self, y, half, shift, bits, width, source):
        self.y, self.half, self.shift, self.bits, self.width, self.source = y, half, shift, bits, width, source


def part(form, shift=0):
    return form, shift


# ---------------------------------------------------------------- 13.3: from programs to systems


class System:
    """One pass. `census` is what the first pass counted."""

    def __init__(self, program, T, initial, frames, outputs, census=None):
        self.program, self.T, self.initial = program, T, initial
        self.census, self.counted = census, {}
        self.columns, self.digested, self.publics, self.public_of = [], {}, [], {}
        self.tables, self.table_of = [], {}
        self.lookups, self.identities, self.products, self.product_of = [], [], [], {}
        self.public(flat(1, 1), [1])
        self.registers, self.limbs, self.lin = {}, {}, {}
        self.build(frames, outputs)
        self.drop_unused_products()

    def drop_unused_products(self):
        forms = self.identities + [form for _, parts in self.lookups for form, _ in parts]
        used = sorted({e for form in forms for e in form.products})
        self.products = [self.products[e] for e in used]
        place = {e: k for k, e in enumerate(used)}
        for form in {id(form): form for form in forms}.values():
            form.products = {place[e]: k for e, k in form.products.items()}

    # -- making things

    def public(self, box, entries):
        key = box, tuple(entries)
        if key not in self.public_of:
            self.public_of[key] = len(self.publics)
            self.publics.append(key)
        return self.public_of[key]

    def view(self, kind, index, box):
        return Form(box, {((kind, index), whole(box[0]), whole(box[1])): 1})

    def column(self, box):
        self.columns.append(box)
        return self.view("col", len(self.columns) - 1, box)

    def table(self, rows):
        rows = tuple(tuple(row) + (0,) * (3 - len(row)) for row in rows)
        if rows not in self.table_of:
            self.table_of[rows] = len(self.tables)
            self.tables.append(rows)
        return self.table_of[rows]

    def range_table(self, width):
        return self.table([(d,) for d in range(1 << width)])

    def lookup(self, table, *parts):
        self.lookups.append((table, list(parts)))

    def product(self, left, right, summed):
        key = summed, left.key(), right.key()
        if key not in self.product_of:
            self.product_of[key] = len(self.products)
            self.products.append([summed, left, right])
        form = Form(flat(left.box[0], 1) if summed else left.box)
        form.products[self.product_of[key]] = 1
        return form

    # -- numbers

    @staticmethod
    def without(v, digits):
        for d, place in digits:
            v = v.plus(d, -(1 << place))
        return v

    def low(self, v, n):
        """Columns of the lowest n bits, in range, with their places."""
        if n == 0:
            return []
        box = v.box
        self.counted[("low", n)] = self.counted.get(("low", n), 0) + box[0] * box[1]
        often = self.census.get(("low", n), 0) if self.census is not None else 0
        widest = min(max(max(often, 1).bit_length() - 1, 8), 12)
        count = -(-n // widest)
        width = -(-n // count)
        limbs = []
        for place in range(0, n, width):
            limbs.append((self.column(box), place, min(width, n - place)))
        for d, place, w in limbs:
            self.lookup(self.range_table(w), part(d))
        return [(d, place) for d, place, _ in limbs]

    def range(self, v, n):
        if n <= 10:
            return self.lookup(self.range_table(n), part(v))
        k = (n - 1) // 8
        low = self.low(v, 8 * k)
        self.lookup(self.range_table(n - 8 * k), part(self.without(v, low), 8 * k))

    def classes(self, v, less, place, n, live):
        less = list(less)
        sizes = [n] if n <= 10 else [8] * ((n - 1) // 8) + [n - 8 * ((n - 1) // 8)]
        digits, at = [], place
        for size in sizes[:-1]:
            digits.append((self.column(v.box), at, size))
            at += size
        less += [(d, p) for d, p, _ in digits]
        compare = lambda d, size, p: 0 if d < (x := live >> (p - place) & (1 << size) - 1) else 1 if d == x else 2
        size = sizes[-1]
        rows = [(d, 0 if d < live >> (at - place) else 1 if d == live >> (at - place) else 2) for d in range(1 << size)]
        table = self.table(rows)
        state = self.column(v.box)
        self.lookup(table, part(self.without(v, less), at), part(state))
        for d, p, size in reversed(digits):
            rows = [(c, x, c if c != 1 else compare(x, size, p)) for c in range(3) for x in range(1 << size)]
            table = self.table(rows)
            new = self.column(v.box)
            self.lookup(table, part(state), part(d), part(new))
            state = new
        return state

    # -- functions of quotients

    def apply(self, f, x, w):
        if f == "identity":
            return x
        if f == "relu":
            return max(x, 0)
        return self.program.value(f[1], x)

    def plan(self, f, q):
        """n, and whether one table has all values."""
        n = max(q.bits - q.shift, 1)
        often = 0
        if self.census is not None:
            known, often = self.census.get(("f", f, q.width), (n, 0))
            n = max(n, known)
        limit = max(often, 256) + often // 4 + min(3 << q.width, 4096)
        return n, n <= 16 and 1 << n <= limit

    def function(self, f, q):
        w, box = q.width, q.y.box
        if f == "identity":
            short = self.upper_limbs(q)
            if short is not None:
                return short
        key = ("f", f, w)
        most, count = self.counted.get(key, (0, 0))
        self.counted[key] = max(most, q.bits - q.shift, 1), count + box[0] * box[1]
        n, direct = self.plan(f, q)
        s, least, most = q.shift, -(1 << (w - 1)), (1 << (w - 1)) - 1
        value = lambda x: self.apply(f, min(max(x, least), most), w)
        if direct:
            v = q.y.shifted(q.half + (1 << (n - 1 + s)))
            low = self.low(v, s)
            table = self.table([(k, value(k - (1 << (n - 1)))) for k in range(1 << n)])
            x = self.column(box)
            self.lookup(table, part(self.without(v, low), s), part(x))
            return x
        relu = f == "relu"
        b = w - 1 if relu else w
        n = max(n, w + 1)
        v = q.y.shifted(q.half + (1 << (n - 1 + s)) + (0 if relu else 1 << (w - 1 + s)))
        live = 1 << (n - 1 - b)
        low = self.low(v, s)
        if b <= 10:
            d = self.column(box)
            c = self.classes(v, low + [(d, s)], s + b, n - b + 1, live)
            inner = lambda x: value(x if relu else x - (1 << (w - 1)))
            rows = [(0, x, value(least)) for x in range(1 << b)] + [(1, x, inner(x)) for x in range(1 << b)]
            rows += [(2, x, value(most)) for x in range(1 << b)]
            table = self.table(rows)
            out = self.column(box)
            self.lookup(table, part(c), part(d), part(out))
            return out
        k8 = (b - 1) // 8
        h = b - 8 * k8
        limbs = [(self.column(box), 8 * k, 8) for k in range(k8)]
        out = []
        digits = low + [(d, s + p) for d, p, _ in limbs]
        top = h + n - b + 1
        if top <= 12:
            rows = []
            for d in range(1 << top):
                c = 0 if d >> h < live else 1 if d >> h == live else 2
                rows.append((d, c, (0, d & (1 << h) - 1, (1 << h) - 1)[c]))
            table = self.table(rows)
            c = self.column(box)
            o = self.column(box)
            self.lookup(table, part(self.without(v, digits), s + 8 * k8), part(c), part(o))
            out.append((o, 8 * k8))
        else:
            limbs.insert(0, (self.column(box), 8 * k8, h))
            digits = low + [(d, s + p) for d, p, _ in limbs]
            c = self.classes(v, digits, s + b, n - b + 1, live)
        for d, p, k in limbs:
            rows = [(cl, x, (0, x, (1 << k) - 1)[cl]) for cl in range(3) for x in range(1 << k)]
            table = self.table(rows)
            o = self.column(box)
            self.lookup(table, part(c), part(d), part(o))
            out.append((o, p))
        if f == "identity":
            self.limbs[q.source, box, q.half, q.shift, w] = sorted(out, key=lambda o: o[1])
        return self.of_limbs(box, out, 0, 0 if relu else 1 << (w - 1))

    @staticmethod
    def of_limbs(box, limbs, place, minus):
        result = Form(box)
        for o, p in sorted(limbs, key=lambda o: o[1]):
            result = result.plus(o, 1 << (p - place))
        return result.shifted(-minus) if minus else result

    def upper_limbs(self, q):
        """The quotient as a part of another of the same numbers that has limbs."""
        register, start = q.source
        for at, (kind, o) in enumerate(self.program.operations):
            if kind != "requantize" or o[3] <= 10 or (o[0], 0, self.shape[o[0]][0]) != (register, start, q.y.box[1]):
                continue
            shift, cut = o[1] + o[2], o[3] - q.width
            if rounding(o[1]) == q.half and cut > 0 and q.shift - shift == cut:
                break
        else:
            return None
        key = q.source, q.y.box, q.half, shift, o[3]
        if key not in self.limbs:
            if ("result", at) not in self.registers:
                return None
            self.linear(("result", at))
        upper = [(x, p) for x, p in self.limbs.get(key, ()) if p >= cut]
        if not any(p == cut for _, p in upper):
            return None
        return self.of_limbs(q.y.box, upper, cut, 1 << (q.width - 1))

    # -- registers

    def commit(self, form):
        x = self.column(form.box)
        self.identities.append(x.plus(form, -1))
        return x

    def linear(self, r):
        """Register r as a linear form, made once."""
        if r not in self.lin:
            value = self.registers[r]
            if isinstance(value, Quotient):
                self.lin[r] = self.function("identity", value)
            else:
                self.lin[r] = value if value.linear() else self.commit(value)
        return self.lin[r]

    def read(self, r):
        """Register r as the operation at hand reads it: in the head those of the frames at the last frame."""
        value = self.registers[r]
        time, length, _ = (value.y if isinstance(value, Quotient) else value).box
        if time == self.time:
            return value
        box, at_last = flat(self.time, length), ("cell", 0, self.time, time - 1)
        result = self.linear(r).read(box, at_last, whole(length))
        if result is None:
            self.lin[r] = self.commit(self.linear(r))
            result = self.lin[r].read(box, at_last, whole(length))
        return result

    def form(self, r):
        value = self.read(r)
        return self.linear(r) if isinstance(value, Quotient) else value

    def linear_form(self, r):
        value = self.read(r)
        return value if isinstance(value, Form) and value.linear() else self.linear(r)

    def through(self, form, len_, entries):
        """A form read through a map of entries; committed to if it must be, for this reader only."""
        box = flat(form.box[0], len_)
        result = form.read(box, whole(box[0]), entries, self)
        return self.commit(form).read(box, whole(box[0]), entries) if result is None else result

    def len(self, r):
        return self.shape[r][0]

    def build(self, frames, outputs):
        p, T = self.program, self.T
        self.shape = p.shapes
        self.in_head = False
        length, width = p.frame
        if frames is None:
            x = self.column(flat(T, length))
            self.digested[0] = "inputs"
            self.range(x.shifted(1 << (width - 1)), width)
            self.registers[FRAME] = x
        else:
            self.registers[FRAME] = self.view("pub", self.public(flat(T, length), frames), flat(T, length))
        for k, c in enumerate(p.carried):
            self.registers["carried", k] = self.view("part", k, flat(T, c["shape"][0]))
        for at, (kind, o) in enumerate(p.operations + p.head):
            self.in_head = at >= len(p.operations)
            self.registers["result", at] = getattr(self, "op_" + kind)(*o)
        r, length = p.output
        self.in_head = p.last
        form = self.form(r)
        if length < self.len(r):
            form = self.through(form, length, whole(length))
        box = form.box
        self.output_shape = length, *held(self.shape[r])
        if outputs is None:
            x = self.column(flat(*box[:2]))
            self.digested[len(self.columns) - 1] = "outputs"
            _, width, offset = self.output_shape
            self.range(x.shifted(offset), width)
            self.identities.append(Form(box, x.views).plus(form, -1))
        else:
            self.identities.append(form.plus(self.view("pub", self.public(flat(*box[:2]), outputs), box), -1))
        self.replace_parts()
        if not self.tables:
            self.table([(0,)])

    @property
    def time(self):
        return 1 if self.in_head else self.T

    def op_affine(self, terms, _reach):
        l, _, window = terms[0]
        m, P = self.program.maps[l][0], window.positions if window else 1
        inner = m if not window or not window.by_rows else P
        form = Form((self.time, m * P, inner))
        for k, (l, r, window) in enumerate(terms):
            x = self.linear_form(r)
            if not window:
                n = self.program.maps[l][1]
                x = self.through(x, n, whole(min(n, self.len(r))))
            form.affine.append((1, (l, k == 0, whole(m), window, Form(flat(*x.box[:2]), x.views))))
        return form

    def op_requantize(self, r, shift, drop, width):
        half = rounding(shift)
        n = signed_bits(*(x + half for x in self.shape[r][1:]))
        return Quotient(self.form(r), half, shift + drop, n, width, (r, 0))

    def op_relu(self, r):
        value = self.read(r)
        if isinstance(value, Form):
            _, least, most = self.shape[r]
            if least >= 0:
                return self.linear_form(r)
            w = signed_bits(least, most)
            value = Quotient(value, 0, 0, w, w, (r, 0))
        return self.function("relu", value)

    def op_lookup(self, r, table):
        value = self.read(r)
        if isinstance(value, Quotient) and value.width <= 10 and r not in self.lin:
            return self.function(("table", table), value)
        form = self.form(r)
        rows = self.table(list(enumerate(self.program.tables[table][1], self.program.tables[table][0])))
        x = self.column(form.box)
        self.lookup(rows, part(form), part(x))
        return x

    def op_combine(self, constant, monomials):
        # Registers that stand alone are read before all products.
        alone = [self.form(left) if right is None else None for _, left, right in monomials]
        boxes = [form.box for form in alone if form and form.slides()]
        box = boxes[0] if boxes else flat(self.time, self.len(monomials[0][1]))
        total = Form(box).shifted(constant)
        for (k, left, right), form in zip(monomials, alone):
            if form:
                total = total.plus(self.in_box(form, box), k)
            else:
                left, right = (Form(box, self.linear_form(r).views) for r in (left, right))
                total = total.plus(self.product(left, right, False), k)
        return total

    def in_box(self, form, box):
        """The same entries, in other rows."""
        if form.box == box:
            return form
        if form.slides():
            form = self.commit(form)
        result = Form(box, form.views)
        result.affine = list(form.affine)
        for e, k in form.products.items():
            left, right = (Form(box, x.views) for x in self.products[e][1:])
            result = result.plus(self.product(left, right, False), k)
        return result

    def op_dot(self, r, coefficients):
        return self.through(self.linear_form(r), 1, ("weights", 0, 1, tuple(coefficients)))

    def op_sign(self, r):
        n = signed_bits(*self.shape[r][1:])
        y = self.form(r)
        v = y.shifted(1 << (n - 1))
        h = n - 8 * ((n - 1) // 8)
        low = self.low(v, n - h)
        table = self.table([(d, int(d >= 1 << (h - 1))) for d in range(1 << h)])
        bit = self.column(y.box)
        self.lookup(table, part(self.without(v, low), n - h), part(bit))
        return bit

    def is_equal(self, v, n, live):
        c = self.classes(v, [], 0, n, live)
        table = self.table([(0, 0), (1, 1), (2, 0)])
        bit = self.column(v.box)
        self.lookup(table, part(c), part(bit))
        return bit

    def op_zero(self, r):
        n, offset = held(self.shape[r])
        return self.is_equal(self.form(r).shifted(offset), n, offset)

    def op_indicators(self, r, length):
        w, offset = held(self.shape[r])
        box = flat(self.time, length)
        x = self.through(self.form(r), length, ("cell", 0, length, 0))
        c = self.public(flat(1, length), range(length))
        v = x.plus(Form(box, {(("pub", c), ("cell", 0, self.time, 0), whole(length)): 1}), -1)
        return self.is_equal(v.shifted(offset + length - 1), ((1 << w) + length).bit_length(), offset + length - 1)

    def op_argmax(self, r):
        w, _ = held(self.shape[r])
        x = self.linear_form(r)
        time, length, _ = x.box
        o = self.column(x.box)
        self.lookup(self.range_table(1), part(o))
        m = self.column(flat(time, 1))
        ones = o.read(flat(time, 1), whole(time), ("weights", 0, 1, (1,) * length))
        self.identities.append(ones.shifted(-1))
        self.identities.append(self.product(o, x, True).plus(m, -1))
        v = m.read(x.box, whole(time), ("cell", 0, length, 0)).plus(x, -1).shifted(-1)
        v = v.plus(o.read(x.box, whole(time), ("prefix", 0, length, 0)))
        self.range(v, w)
        return o

    def op_accumulate(self, k, r):
        length = self.program.carried[k]["shape"][0]
        box = flat(self.T, length)
        start = self.public(flat(1, length), self.initial[k])
        form = Form(box, {(("pub", start), ("cell", 0, self.T, 0), whole(length)): 1})
        x = self.linear_form(r)
        prefix = ("prefix", 0, self.T, 0), whole(length)
        plain = all(t == whole(self.T) and s[0] != "part" for s, t, _ in x.views)
        sums = x.read(box, *prefix) if plain else None
        return form.plus(self.commit(x).read(box, *prefix) if sums is None else sums)

    def op_slice(self, r, start, length):
        value, entries = self.read(r), ("shift", 0, length, start)
        if isinstance(value, Quotient):
            # Products are numbered when they are first met, whatever becomes of them.
            time = value.y.box[0]
            y = value.y.read(flat(time, length), whole(time), entries, self)
            if y is not None and r not in self.lin:
                register, first = value.source
                return Quotient(y, value.half, value.shift, value.bits, value.width, (register, first + start))
        return self.through(self.form(r), length, entries)

    def op_concat(self, inputs):
        total = sum(map(self.len, inputs))
        form, start = Form(flat(self.time, total)), 0
        for r in inputs:
            n = self.len(r)
            form = form.plus(self.through(self.form(r), total, ("shift", start, start + n, -start)))
            start += n
        return form

    # -- the state

    def replace_parts(self):
        p, T = self.program, self.T
        parts = {}
        for k, c in enumerate(p.carried):
            length = c["shape"][0]
            start = ("pub", self.public(flat(1, length), self.initial[k]))
            r = c["next"]
            if r == ("carried", k):
                parts["part", k] = {(start, ("cell", 0, T, 0), whole(length)): 1}
                continue
            x = self.linear(r)
            if any(s[0] == "part" for s, _, _ in x.views):
                x = self.lin[r] = self.commit(x)
            later = ("shift", 1, T, -1), whole(length)
            shifted = x.read(flat(T, length), *later)
            if shifted is None:
                shifted = self.commit(x).read(flat(T, length), *later)
            parts["part", k] = {(start, ("cell", 0, 1, 0), whole(length)): 1, **shifted.views}
        for form in self.all_forms():
            self.replace(form, parts)

    def all_forms(self):
        seen = {}
        for form in [f for f in self.registers.values() if isinstance(f, Form)] + list(self.lin.values()) + self.identities:
            seen[id(form)] = form
        for _, parts in self.lookups:
            for form, _ in parts:
                seen[id(form)] = form
        for _, left, right in self.products:
            seen[id(left)] = left
            seen[id(right)] = right
        for form in list(seen.values()):
            for _, (*_, x) in form.affine:
                seen[id(x)] = x
        return list(seen.values())

    @staticmethod
    def replace(form, parts):
        old = [(key, k) for key, k in form.views.items() if key[0] in parts]
        for key, k in old:
            del form.views[key]
        for (source, t, i), k in old:
            for (s, t2, i2), number in parts[source].items():
                t3, i3 = after(t, t2), after(i, i2)
                if t3[0] != "nothing" and i3[0] != "nothing":
                    form.put((s, t3, i3), k * number)


# ---------------------------------------------------------------- transcript, messages


class Transcript:
    def __init__(self):
        self.hash = hashlib.shake_256()

    def absorb(self, name, data):
        name = name.encode()
        self.hash.update(le(len(name)) + name + le(len(data)) + data)

    def wide(self, name):
        self.absorb("challenge", name.encode())
        return self.hash.copy().digest(64)

    def challenge(self, name):
        return int.from_bytes(self.wide(name), "little") % R

    def point(self, name, n):
        return [self.challenge(name) for _ in range(n)]

    def short(self, name):
        data = self.wide(name)
        a, b = int.from_bytes(data[:8], "little"), int.from_bytes(data[8:16], "little")
        return (a + b * LAMBDA) % R


class Lin:
    """A linear combination of scalars sent, and a constant."""

    def __init__(self, terms=None, constant=0):
        self.terms, self.constant = terms or {}, constant % R

    def __add__(self, other):
        if not isinstance(other, Lin):
            return Lin(self.terms, self.constant + other)
        terms = dict(self.terms)
        for k, v in other.terms.items():
            terms[k] = (terms.get(k, 0) + v) % R
        return Lin(terms, self.constant + other.constant)

    def __mul__(self, k):
        return Lin({a: v * k % R for a, v in self.terms.items()}, self.constant * k)

    def __sub__(self, other):
        return self + other * -1 if isinstance(other, Lin) else self + -other

    __radd__, __rmul__ = __add__, __mul__


class Argument:
    """The bytes of a proof, the transcript and the rows of committed scalars."""

    def __init__(self, data):
        self.data, self.at, self.transcript = data, 0, Transcript()
        self.rows, self.gates = [], []

    def take(self, count):
        end = self.at + 32 * count
        if end > len(self.data):
            raise Unreadable("truncated")
        data, self.at = self.data[self.at : end], end
        return data

    def points(self, name, count):
        data = self.take(count)
        self.transcript.absorb(name, data)
        return [point_from(data[i : i + 32]) for i in range(0, len(data), 32)]

    def shown(self, count):
        data = self.take(count)
        self.transcript.absorb("shown", data)
        values = [int.from_bytes(data[i : i + 32], "little") for i in range(0, len(data), 32)]
        if any(v >= R for v in values):
            raise Unreadable("not canonical")
        return values

    def sent(self, count):
        first = 16 * len(self.rows)
        self.rows += self.points("message", -(-count // 16))
        return [Lin({first + i: 1}) for i in range(count)]

    def gate(self, a, b, c):
        self.gates.append((a, b, c))


def eq_table(point):
    table = [1]
    for r in point:
        table = [v for t in table for v in ((t - t * r) % R, t * r % R)]
    return table


def eq_at(point, index):
    result = 1
    for r in reversed(point):
        result = result * (r if index & 1 else 1 - r) % R
        index >>= 1
    return result


# ---------------------------------------------------------------- 13.4: layout


def lay_out(sizes):
    """Places of cubes of so many bits each, in descending order, and the total size."""
    places, at = [0] * len(sizes), 0
    for k in sorted(range(len(sizes)), key=lambda k: -sizes[k]):
        places[k] = at
        at += 1 << sizes[k]
    return places, at


class Layout:
    def __init__(self, system, c, own_rows):
        self.system, self.c = system, c
        self.boxes = list(system.columns) + [flat(1, len(t)) for t in system.tables]
        self.low, sizes = {}, []
        for k, box in enumerate(self.boxes):
            of_time, *of_entries = index_bits(box)
            size = of_time + sum(of_entries)
            if k in system.digested:
                self.low[k] = min(7, sum(of_entries) + (0 if own_rows else of_time))
                size += c - self.low[k]
            sizes.append(size)
        self.places, total = lay_out(sizes)
        self.n = max(bits(total), c)
        need(self.n <= 25, "too large")
        self.rows = {"inputs": set(), "outputs": set(), "Z": set()}
        for k, (time, length, inner) in enumerate(self.boxes):
            kind = system.digested.get(k, "Z")
            for t in range(time):
                # Cells of a row of a vector are neighbours but for the cut into rows.
                step = 1 << self.low.get(k, c)
                for first in range(0, length, inner):
                    for i in [*range(first, first + inner, step), first + inner - 1]:
                        self.rows[kind].add(self.cell(k, t, i) >> c)
        self.rows = {kind: sorted(rows) for kind, rows in self.rows.items()}

    def cell(self, k, t, i):
        _, of_rows, of_inner = index_bits(self.boxes[k])
        row, i = divmod(i, self.boxes[k][2])
        x = (((t << of_rows) + row) << of_inner) + i
        if k in self.low:
            low = self.low[k]
            x = (x >> low << self.c) + (x & (1 << low) - 1)
        return self.places[k] + x


def rows_digest(data, time, length, width, offset, own_rows):
    e = bits(length)
    if own_rows or e >= 7:
        vectors, count = 1, [-(-length // 128)] * time
    else:
        vectors = 1 << (7 - e)
        count = [1] * -(-time // vectors)
    blocks, at = [], 0
    for n in count:
        head = b"".join(map(le, (length, width, offset, vectors, 7, n)))
        blocks.append(shake("layerfold/trace/block/1", head + data[32 * at : 32 * (at + n)]))
        at += n
    assert 32 * at == len(data)
    return shake("layerfold/trace/rows/1", le(time) + le(len(blocks)) + b"".join(blocks))


# ---------------------------------------------------------------- 13.5 to 13.10: the argument


class Sparse:
    """A linear functional of Z, and a constant of public vectors."""

    def __init__(self):
        self.cells, self.constant = {}, 0


class Verifier:
    def __init__(self, program, model, statement, proof):
        self.program, self.model = program, model
        self.read_statement(statement)
        if len(proof) < 2:
            raise Unreadable("truncated")
        self.c, self.f = proof[0], proof[1]
        need(7 <= self.c <= 14 and self.c >= model.column_bits, "c")
        need(2 <= self.f <= self.c, "f")
        self.argument = Argument(proof[2:])

    def read_statement(self, s):
        p = self.program
        try:
            self.context, self.T = bytes.fromhex(s["context"]), s["frames"]
            self.own_rows, self.parameters = s["own_rows"], s["parameters"]
            vectors = []
            for what in (s["inputs"], s["outputs"]):
                vectors.append((what.get("entries"), bytes.fromhex(what["digest"]) if "digest" in what else None))
            numbers = [v for v, _ in vectors if v is not None] + [self.parameters, [self.T]]
            assert all(isinstance(n, int) and -(2**63) <= n < 2**64 for v in numbers for n in v)
            assert isinstance(self.own_rows, bool)
        except (KeyError, TypeError, ValueError, AssertionError, AttributeError) as e:
            raise Unreadable("statement") from e
        (self.frames, self.inputs), (self.outputs, self.output_digest) = vectors
        need(1 <= self.T <= p.limit, "number of frames")
        in_range = lambda entries, least, most: all(least <= x <= most for x in entries)
        length, *ends = p.shapes[FRAME]
        if self.frames is not None:
            need(len(self.frames) == self.T * length, "number of inputs")
            need(in_range(self.frames, *ends), "an input out of range")
        r, length = p.output
        if self.outputs is not None:
            need(len(self.outputs) == (1 if p.last else self.T) * length, "number of outputs")
            need(in_range(self.outputs, *p.shapes[r][1:]), "an output out of range")
        self.initial, left = [], list(self.parameters)
        for k, part_ in enumerate(p.carried):
            length, *ends = p.shapes["carried", k]
            initial = part_["initial"]
            if part_["parameter"]:
                initial, left = left[:length], left[length:]
                need(len(initial) == length and in_range(initial, *ends), "parameters")
            self.initial.append(initial)
        need(not left, "parameters")

    def verify(self):
        self.model.check(self.program)
        make = lambda census: System(self.program, self.T, self.initial, self.frames, self.outputs, census)
        self.system = make(make(None).counted)
        self.layout = Layout(self.system, self.c, self.own_rows)
        self.begin()
        self.tree()
        self.equation()
        self.check_products()
        self.check_gates()
        self.one_point()
        self.end()
        self.opening()
        need(self.argument.at == len(self.argument.data), "bytes left over")

    def begin(self):
        a, s = self.argument, self.system
        t = self.t = a.transcript
        t.absorb("protocol", b"layerfold/trace/1")
        public = self.frames is not None, self.outputs is not None
        data = self.program.digest + self.model.digest + le(self.T)
        data += bytes([self.c, self.f, self.own_rows, *public])
        data += le(len(self.context)) + self.context
        for entries in [self.parameters] + [v for v in (self.frames, self.outputs) if v is not None]:
            data += le(len(entries)) + b"".join(map(le, entries))
        t.absorb("statement", data)
        self.row_points = {}
        for kind in ("inputs", "outputs", "Z"):
            rows = self.layout.rows[kind]
            start = a.at
            for row, point in zip(rows, a.points(kind, len(rows))):
                self.row_points[row] = point
            data = a.data[start : a.at]
            if kind == "inputs" and rows:
                length, width = self.program.frame
                got = rows_digest(data, self.T, length, width, 1 << (width - 1), self.own_rows)
                need(got == self.inputs, "digest of the inputs")
            if kind == "outputs" and rows:
                time = 1 if self.program.last else self.T
                need(rows_digest(data, time, *s.output_shape, self.own_rows) == self.output_digest, "digest of the outputs")
        self.alpha, self.beta = t.challenge("alpha"), t.challenge("beta")

    def phi(self, table, row):
        a, b = self.alpha, self.beta
        return (a - (table + 1) - b * row[0] - b * b % R * row[1] - b * b % R * b * row[2]) % R

    def tree(self):
        a, t = self.argument, self.t
        boxes = self.lookup_boxes = [parts[0][0].box for _, parts in self.system.lookups]
        self.leaf_places, total = lay_out([sum(index_bits(box)) for box in boxes])
        n_leaves = self.n_leaves = max(2, bits(total))
        need(n_leaves <= 25, "too large")
        h = 2 + n_leaves % 2
        n = 1 << h
        count = 2 * n + sum(3 * (1 << k) for k in range(h)) + 1
        sent = a.sent(count)
        p, q = sent[:n], sent[n : 2 * n]
        ps, qs, at = p, q, 2 * n
        while len(ps) > 1:
            half = len(ps) // 2
            new_p, new_q = [], []
            for x in range(half):
                t1, p1, q1 = sent[at : at + 3]
                at += 3
                a.gate(ps[x], qs[x + half], t1)
                a.gate(ps[x + half], qs[x], p1 - t1)
                a.gate(qs[x], qs[x + half], q1)
                new_p.append(p1)
                new_q.append(q1)
            ps, qs = new_p, new_q
        self.sum = sent[at]
        a.gate(self.sum, qs[0], ps[0])
        combine = lambda weights, values: sum((v * w for w, v in zip(weights, values)), Lin())
        r = t.point("r", h)
        c_p, c_q = combine(eq_table(r), p), combine(eq_table(r), q)
        for k in range(h, n_leaves, 2):
            lam = t.challenge("lambda")
            S = c_p + c_q * lam
            new = []
            for i in range(k):
                message = a.sent(4)
                x = t.challenge("round")
                new.append(x)
                for m, coefficient in enumerate(message, 1):
                    S = S + coefficient * (pow(x, m, R) - r[i])
            sent = a.sent(15)
            p, q, (A, B, t1, n1, t2, n2, m) = sent[:4], sent[4:8], sent[8:]
            a.gate(q[0], q[1], A)
            a.gate(q[2], q[3], B)
            a.gate(p[0], q[1], t1)
            a.gate(p[1], q[0], n1 - t1)
            a.gate(p[2], q[3], t2)
            a.gate(p[3], q[2], n2 - t2)
            a.gate(n1, B, m)
            a.gate(n2 + B * lam, A, S - m)
            s = t.point("s", 2)
            c_p, c_q = combine(eq_table(s), p), combine(eq_table(s), q)
            r = s + new
        self.rho_leaves, self.c_p, self.c_q = r, c_p, c_q

    # -- 13.6

    def weights(self, box):
        """eq of the frames and of the entries of a box, over what is there."""
        if box not in self.known:
            self.known[box] = self.weights_at(box, self.rho)
        return self.known[box]

    def weights_at(self, box, point):
        frames, rows, places = self.factors(box, point)
        return dict(enumerate(frames)), dict(enumerate(x * y % R for x in rows for y in places))

    @staticmethod
    def factors(box, point):
        """eq of the frames, of the rows of entries, and of the places in a row."""
        time, length, inner = box
        factors, end = [], len(point)
        for size, n in zip(reversed(index_bits(box)), (inner, length // inner, time)):
            factors.insert(0, eq_table(point[end - size : end])[:n])
            end -= size
        return factors

    def add_views(self, target, views, number, frames, entries, entries_of_box=None):
        """number * sum of frames(t) * entries(i) * the linear form at (t, i)."""
        s = self.system
        pulled = {}
        for ((kind, index), tm, im), k in views.items():
            for name, m, w in (("t", tm, frames), ("i", im, entries)):
                if (name, m) not in pulled:
                    pulled[name, m] = {x: v % R for x, v in pull(m, w).items()}
            wt, wi = pulled["t", tm], pulled["i", im]
            time, length, _ = s.columns[index] if kind == "col" else s.publics[index][0]
            k = k * number % R
            if kind == "pub":
                values = s.publics[index][1]
                total = 0
                for t, a in wt.items():
                    if 0 <= t < time:
                        total += a * sum(b * values[t * length + i] for i, b in wi.items() if 0 <= i < length)
                target.constant = (target.constant + k * total) % R
            else:
                cells = target.cells
                for t, a in wt.items():
                    if 0 <= t < time:
                        a = a * k % R
                        for i, b in wi.items():
                            if 0 <= i < length:
                                x = (index, t, i)
                                cells[x] = (cells.get(x, 0) + a * b) % R

    def rows_of(self, box, window):
        """Weights that rows of a map are read from, what tells these from others, and weights of positions."""
        if not window:
            return self.weights(box)[1], (box[1:], 0), None
        _, outer, inner = self.factors(box, self.rho)
        rows, positions, below = (outer, inner, bits(len(inner))) if window.by_rows else (inner, outer, 0)
        return dict(enumerate(rows)), (flat(1, len(rows))[1:], below), positions

    def add_form(self, target, form, number):
        frames, entries = self.weights(form.box)
        self.add_views(target, form.views, number, frames, entries)
        for k, (l, bias, rows, window, x) in form.affine:
            of_rows, place, positions = self.rows_of(form.box, window)
            vector = {i: w % R for i, w in pull(rows, of_rows).items()}
            pair, *_ = self.pairs.setdefault((l, rows, place), (len(self.pairs), l, vector))
            self.affine.append((pair, k * number % R, bias, window, positions, x, frames))
        for e, k in form.products.items():
            self.kappa[e] = (self.kappa[e] + k * number) % R

    def equation(self):
        t, s = self.t, self.system
        delta = t.challenge("delta")
        most = max((sum(index_bits(f.box)) for f in s.identities), default=0)
        self.rho = t.point("rho", max(0, most - self.n_leaves)) + self.rho_leaves
        self.known, self.pairs, self.affine = {}, {}, []
        self.kappa = [0] * len(s.products)
        v0 = self.v0 = Sparse()
        first = (self.phi(0, s.tables[0][0]) + delta) % R
        v0.constant = first
        for g, (table, parts) in enumerate(s.lookups):
            box = self.lookup_boxes[g]
            size = sum(index_bits(box))
            w = eq_at(self.rho_leaves[: self.n_leaves - size], self.leaf_places[g] >> size)
            frames, entries = self.weights(box)
            one = sum(frames.values()) * sum(entries.values()) % R
            v0.constant += w * one * (self.alpha - (table + 1) + delta - first)
            for m, (form, shift) in enumerate(parts, 1):
                self.add_form(v0, form, -w * pow(self.beta, m, R) * pow(2, -shift, R) % R)
        for y, form in enumerate(s.identities, 1):
            self.add_form(v0, form, pow(delta, 1 + y, R))
        self.left = self.c_q + self.c_p * delta

    # -- 13.7

    def check_products(self):
        a, t, s = self.argument, self.t, self.system
        (lam,) = a.sent(1)
        self.claims = [(self.v0, lam)]
        sigma = self.left - self.v0.constant - lam
        nu = self.program.dimensions[2]
        pair_bits = bits(len(self.pairs))
        n_bank = nu + pair_bits
        sizes = [sum(index_bits(left.box)) for _, left, _ in s.products]
        n = max([n_bank] + sizes)
        r = []
        for _ in range(n):
            g0, g2, g3 = a.sent(3)
            x = t.challenge("round")
            r.append(x)
            g1 = sigma - 2 * g0 - g2 - g3
            sigma = g0 + x * g1 + x * x % R * g2 + pow(x, 3, R) * g3
        sent = a.sent(2 + 3 * len(s.products))
        self.v_bank, bracket = sent[:2]
        last = sigma
        evaluations = []
        for e, (summed, left, right) in enumerate(s.products):
            L, Q, product = sent[2 + 3 * e : 5 + 3 * e]
            a.gate(L, Q, product)
            at_t, at_i = self.weights_at(left.box, r)
            frames, entries = self.weights(flat(left.box[0], 1) if summed else left.box)
            weight = sum(w * frames[t] for t, w in at_t.items()) % R
            if not summed:
                weight = weight * sum(w * entries[i] for i, w in at_i.items()) % R
            last = last - product * (pow(2, -(n - sizes[e]), R) * self.kappa[e] * weight % R)
            for value, form in ((L, left), (Q, right)):
                functional = Sparse()
                self.add_views(functional, form.views, 1, at_t, at_i)
                evaluations.append((functional, value))
        a.gate(self.v_bank, bracket, last * pow(2, n - n_bank, R))
        mine = r[n - n_bank :]
        self.r_j, r_s = mine[:nu], mine[nu:]
        eq_j, self.eq_s = eq_table(self.r_j), eq_table(r_s)
        functional = Sparse()
        for pair, number, bias, window, positions, x, frames in self.affine:
            number = number * self.eq_s[pair] % R
            if bias:
                functional.constant += number * eq_j[0] * sum(frames.values()) * (sum(positions) if window else 1)
            entries = dict(enumerate(eq_j[1 : 1 + x.box[1]]))
            if window:
                entries = self.under(window, positions, eq_j)
            self.add_views(functional, x.views, number, frames, entries)
        self.claims += [(functional, bracket)] + evaluations

    @staticmethod
    def under(window, positions, eq_j):
        """Weights of entries of a register, from those of positions and of columns."""
        columns, entries = [eq_j[j] for j in window.columns()], {}
        for p, w in enumerate(positions):
            for entry, x in zip(window.reads(p), columns):
                if entry is not None:
                    entries[entry] = (entries.get(entry, 0) + w * x) % R
        return entries

    # -- 13.8

    def check_gates(self):
        a, t = self.argument, self.t
        dummy = a.sent(6)
        a.gate(*dummy[:3])
        a.gate(*dummy[3:])
        n = bits(len(a.gates))
        tau = t.point("tau", n)
        S, r = Lin(), []
        for i in range(n):
            message = a.sent(2)
            x = t.challenge("round")
            r.append(x)
            for m, h in enumerate(message, 1):
                S = S + h * (pow(x, m, R) - tau[i])
        shown = a.shown(3)
        self.equations = []
        weights = eq_table(r)
        for side, value in enumerate(shown):
            total = {}
            constant = 0
            for w, gate in zip(weights, a.gates):
                constant += w * gate[side].constant
                for k, v in gate[side].terms.items():
                    total[k] = (total.get(k, 0) + w * v) % R
            self.equations.append(Lin(total, constant) - value)
        self.equations.append(S - (shown[0] * shown[1] - shown[2]))

    # -- 13.9

    def one_point(self):
        a, t, s, c = self.argument, self.t, self.system, self.c
        multiplicities = Sparse()
        first = len(s.columns)
        for k, rows in enumerate(s.tables):
            values = [self.phi(k, row) for row in rows]
            need(all(values), "a row of a table is a pole")
            for j, inverse in enumerate(invert(values)):
                multiplicities.cells[first + k, 0, j] = inverse
        claims = [(multiplicities, self.sum)] + self.claims
        gamma = t.challenge("gamma")
        sigma, v, power = Lin(), {}, 1
        for functional, value in claims:
            sigma = sigma + (value - functional.constant if functional is not self.v0 else value) * power
            for cell, w in functional.cells.items():
                v[cell] = (v.get(cell, 0) + power * w) % R
            power = power * gamma % R
        N, p = self.layout.n, []
        for i in range(N + 1):
            if i == N - c:
                sigma = sigma + self.v_bank * power
            if i == N:
                break
            g0, g2 = a.sent(2)
            x = t.challenge("round")
            p.append(x)
            sigma = g0 + x * (sigma - 2 * g0 - g2) + x * x % R * g2
        p_row, p_col = p[: N - c], p[N - c :]
        self.eq_row = {row: eq_at(p_row, row) for row in self.row_points}
        self.eq_col = eq_table(p_col)
        mask = (1 << c) - 1
        at = 0
        for (k, time, i), w in v.items():
            cell = self.layout.cell(k, time, i)
            at += w * self.eq_row[cell >> c] % R * self.eq_col[cell & mask]
        cut = len(self.r_j) - self.model.column_bits
        self.r_hi, r_col = self.r_j[:cut], self.r_j[cut:]
        padded = [0] * (c - len(r_col)) + r_col
        at_w = power
        for x, y in zip(padded, p_col):
            at_w = at_w * (x * y + (1 - x) * (1 - y)) % R
        self.values = a.points("values", 2)
        self.equations.append(sigma)
        self.at_values = at % R, at_w

    # -- 13.10

    def end(self):
        a, t = self.argument, self.t
        theta = t.challenge("theta")
        rows = list(a.rows)
        size = 1 << bits(len(rows))
        l, k, weight = [0] * (16 * size), 0, 1
        for equation in self.equations:
            for i, x in equation.terms.items():
                l[i] = (l[i] + weight * x) % R
            k -= weight * equation.constant
            last, weight = weight, weight * theta % R
        # The last equation is sigma = v~(p) V_Z + ... V_W: <w, l> = k - z V_Z - z' V_W.
        z, z2 = (-last * x % R for x in self.at_values)
        (U,) = generators("layerfold/trace/1", 1)
        H, *G = generators("layerfold/bank/1", 1 + max(16, 1 << self.c))
        value = [(k, U), (-z, self.values[0]), (-z2, self.values[1])]
        scales = [1] * size
        while size > 1:
            X, Y = a.points("fold", 2)
            u = t.challenge("u")
            size //= 2
            half = 16 * size
            l = [(u * x + y) % R for x, y in zip(l[:half], l[half:])]
            value = [(1, X), (u * u, Y)] + [(u * w, p) for w, p in value]
            # Row i of what is left has the scale 1 if it came from the first half, else u.
            scales = [w * (u if i // size % 2 else 1) % R for i, w in enumerate(scales)]
        D, D2 = a.points("masks", 2)
        e = t.challenge("e")
        *f, s, s2 = a.shown(18)
        check = [(x, g) for x, g in zip(f, G)] + [(s, H), (-1, D)]
        check += [(-e * w, row) for w, row in zip(scales, rows)]
        need(not multi(check)[2], "the equation of the messages")
        inner = sum(x * y for x, y in zip(f, l))
        check = [(inner, U), (s2, H), (-1, D2)] + [(-e * w, p) for w, p in value]
        need(not multi(check)[2], "the equation of the values")
        self.U, self.H, self.G = U, H, G

    def opening(self):
        a, t, c, f = self.argument, self.t, self.c, self.f
        chi, omega = t.challenge("chi"), t.challenge("omega")
        P = [(self.eq_row[row], point) for row, point in self.row_points.items()]
        vectors = {}
        for pair, l, vector in self.pairs.values():
            for i, w in vector.items():
                vectors[l, i] = (vectors.get((l, i), 0) + w * self.eq_s[pair]) % R
        eq_hi = eq_table(self.r_hi)
        P += [(chi * eq_hi[k] * vectors.get((l, i), 0), point) for (l, i, k), point in zip(self.model.parts, self.model.rows)]
        P += [(omega, self.values[0]), (omega * chi, self.values[1])]
        b, G = self.eq_col, [1] * (1 << c)
        size = 1 << c
        for _ in range(c - f):
            L, Q = a.points("cross", 2)
            u = t.short("u")
            need(u != 0, "a challenge is zero")
            size //= 2
            b = [(x + u * y) % R for x, y in zip(b[:size], b[size:])]
            G = [w * (u if i // size % 2 else 1) % R for i, w in enumerate(G)]
            P += [(u, L), (pow(u, -1, R), Q)]
        (D,) = a.points("mask", 1)
        e = t.challenge("e")
        *values, s = a.shown((1 << f) + 1)
        inner = sum(x * y for x, y in zip(values, b))
        check = [(w * values[i % size], g) for i, (w, g) in enumerate(zip(G, self.G))]
        check += [(omega * inner, self.U), (s, self.H), (-1, D)] + [(-e * w, p) for w, p in P]
        need(not multi(check)[2], "the equation of the opening")


def invert(values):
    prefix = [1]
    for v in values:
        prefix.append(prefix[-1] * v % R)
    inverse, result = pow(prefix[-1], -1, R), [0] * len(values)
    for i in range(len(values) - 1, -1, -1):
        result[i] = prefix[i] * inverse % R
        inverse = inverse * values[i] % R
    return result


def judge(program, commitment, statement, proof):
    """(exit code, verdict) for the bytes of the four files."""
    try:
        try:
            statement = json.loads(statement)
        except ValueError as e:
            raise Unreadable("statement") from e
        try:
            program, commitment = Program(program), Commitment(commitment)
        except (IndexError, KeyError, OverflowError, ValueError) as e:
            raise Unreadable("program or commitment") from e
        Verifier(program, commitment, statement, proof).verify()
    except Invalid as e:
        return 1, f"invalid: {e}"
    except Unreadable as e:
        return 2, f"unreadable: {e}"
    return 0, "valid"


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--list":
        # Lines of name of program and commitment, name of statement and proof, what, verdict; tabs between.
        directory, wrong = arguments[1], 0
        for line in read(directory, "list").decode().splitlines():
            name, file, what, verdict = line.split("\t")
            start = clock.time()
            code, said = judge(*(read(directory, n) for n in (name + ".program", name + ".commitment", file + ".json", file + ".proof")))
            agree = (code == 0) == (verdict == "valid")
            wrong += not agree
            print(f"{'agree' if agree else 'DIFFER'} {file} ({what}): {said}; Rust: {verdict}; {clock.time() - start:.1f} s", flush=True)
        print(f"{wrong} differ")
        return int(wrong > 0)
    if len(arguments) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        files = [read(path) for path in arguments]
    except OSError as e:
        print(f"unreadable: {e}")
        return 2
    code, said = judge(*files)
    print(said)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
