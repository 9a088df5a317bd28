"""The tracer against plain Python: every thread executed by itself, by Python's own rules."""

import linecache
import math
import random
from types import SimpleNamespace

import numpy
import pytest

from hpclab.kernels import tracer

THREADS = 40  # a warp and a part of one


def agree(make, *arrays):
    """The trace of what `make(cuda)` returns, which leaves what it leaves run thread by thread."""
    by_python = [array.copy() for array in arrays]
    for number in range(THREADS):
        make(SimpleNamespace(grid=lambda n, x=number: x))(*by_python)
    trace = tracer.trace(make(SimpleNamespace()), 1, THREADS, *arrays)
    for traced, plain in zip(trace.after.values(), by_python, strict=True):
        numpy.testing.assert_allclose(traced, plain, rtol=1e-12)
    return trace


def returns_everywhere(cuda):
    def classify(n, limit=30):
        if n < 5:
            return -1
        for k in range(2, n):
            if k * k > n:
                return 1
            if n % k == 0:
                if n > limit:
                    return k * 100
                return k
        return 0

    def kernel(out, a):
        i = cuda.grid(1)
        if i == 13:
            return
        out[i] = classify(a[i]) + classify(a[i] // 2, limit=8)

    return kernel


def backwards_and_tuples(cuda):
    def kernel(out, a):
        i = cuda.grid(1)
        low, high = divmod(a[i], 5)
        for k in range(high, -low, -2):
            low, high = high + k, low
        pair = (low, high)
        out[i], x = pair[0] - pair[1], min(low, high, 3)
        out[i] += max(x, -7) + abs(low) ** 2 % 11 + round(high / 4) + int(-a[i] / 3) + (a[i] << 2 ^ 5) - ~a[i]

    return kernel


def mathematics(cuda):
    def kernel(out, a):
        i = cuda.grid(1)
        x = float(a[i]) + 0.5
        out[i] = (
            math.sqrt(x) + math.exp(-x) * math.sin(x) - math.log(x) / math.hypot(x, 2) + math.floor(x / 3)
        )
        out[i] += math.erf(x) + math.pow(x, 0.3) + math.atan2(x, 2.0) + math.fmod(x, 1.7) + math.pi

    return kernel


@pytest.mark.parametrize("make", [returns_everywhere, backwards_and_tuples, mathematics])
def test_a_kernel_does_what_each_thread_does_by_itself(make):
    a = numpy.random.default_rng(3).integers(0, 60, THREADS)
    out = numpy.zeros(THREADS, dtype=float if make is mathematics else int)
    assert agree(make, out, a).errors == ()


class Program:
    """A small random kernel: whole numbers, loops and branches that differ between threads."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        body = "\n".join(self.block(2, 3, False))
        self.text = (
            "def make(cuda):\n    def kernel(out, a):\n"
            f"        i = cuda.grid(1)\n        x, y, z = a[i], i % 5, 1\n{body}\n"
            "        out[i] = x + 1000 * y + 1000000 * z\n    return kernel\n"
        )
        name = f"<program {seed}>"
        linecache.cache[name] = (len(self.text), None, self.text.splitlines(keepends=True), name)
        names = {}
        exec(compile(self.text, name, "exec"), names)
        self.make = names["make"]

    def number(self, depth=2):
        if depth == 0 or self.random.random() < 0.3:
            return self.random.choice(["x", "y", "z", "i", str(self.random.randint(0, 9))])
        one, two = self.number(depth - 1), self.number(depth - 1)
        return self.random.choice(
            [
                f"({one} + {two})", f"({one} - {two})", f"{one} * {two} % 97", f"({one} // ({two} % 7 + 1))",
                f"min({one}, {two})", f"({one} if {self.test(depth - 1)} else {two})", f"a[({one}) % 40]",
                f"({one} & {two})", f"({one} >> ({two} % 4))", f"-{one}",
            ]
        )  # fmt: skip

    def test(self, depth=1):
        one, two = self.number(depth), self.number(depth)
        plain = self.random.choice([f"{one} < {two}", f"{one} % 3 == 1", f"0 <= {one} < {two}", f"not {two}"])
        if depth and self.random.random() < 0.4:
            return f"({plain} {self.random.choice(['and', 'or'])} {self.test(depth - 1)})"
        return plain

    def block(self, indent, depth, in_loop):
        pad = "    " * indent
        lines = []
        for _ in range(self.random.randint(1, 4)):
            kind = self.random.random()
            if depth == 0 or kind < 0.4:
                operator = self.random.choice(["=", "+=", "-="])
                lines.append(f"{pad}{self.random.choice('xyz')} {operator} ({self.number()}) % 100")
            elif kind < 0.6:
                lines += [f"{pad}if {self.test()}:", *self.block(indent + 1, depth - 1, in_loop)]
                if self.random.random() < 0.5:
                    lines += [f"{pad}else:", *self.block(indent + 1, depth - 1, in_loop)]
            elif kind < 0.85:
                counter = f"k{indent}"
                lines.append(f"{pad}for {counter} in range(({self.number()}) % 6):")
                lines += [*self.block(indent + 1, depth - 1, True), f"{pad}    x += {counter}"]
                if self.random.random() < 0.3:
                    lines += [f"{pad}else:", *self.block(indent + 1, depth - 1, in_loop)]
            elif kind < 0.95:
                lines += [f"{pad}w{indent} = ({self.number()}) % 6", f"{pad}while w{indent} > 0:"]
                lines += [f"{pad}    w{indent} -= 1", *self.block(indent + 1, depth - 1, True)]
            elif in_loop:
                lines += [f"{pad}if {self.test()}:", f"{pad}    {self.random.choice(['break', 'continue'])}"]
            else:
                lines.append(f"{pad}if {self.test(0)}:")
                lines += [f"{pad}    out[i] = {self.number()}", f"{pad}    return"]
        return lines


@pytest.mark.parametrize("seed", range(25))
def test_a_random_program_does_what_each_thread_does_by_itself(seed):
    a = numpy.random.default_rng(seed).integers(-50, 50, THREADS)
    program = Program(seed)
    assert agree(program.make, numpy.zeros(THREADS, int), a).errors == (), program.text
