"""Statements for all lanes of a block at once, as a warp walks through them: both sides of an `if` with lanes
on both. Each takes the mask of the lanes that reach it and returns that of those that go on."""

import ast
import builtins
from collections.abc import Callable, Sequence

import numpy

from hpclab.kernels.tracer import arithmetic
from hpclab.kernels.tracer.arithmetic import Value, truth
from hpclab.kernels.tracer.expressions import Expressions, Frame, Loop
from hpclab.kernels.tracer.lanes import Mask, spread
from hpclab.kernels.tracer.recorder import MOST, UNNAMED, View
from hpclab.kernels.tracer.source import Function

STEPS = 50_000  # statements that one block may execute: a second or so
DEPTH = 50  # device functions inside one another


class Endless(Exception):
    """The block executed or accessed more than any kernel needs; a finding on it has been added."""


class Interpreter(Expressions):
    """Executes a kernel for one block."""

    def launch(self, kernel: Function, arguments: dict[str, Value]) -> None:
        self.frame, self._steps, self._operations = Frame(kernel, {}, 0), 0, 0
        self._none = Mask(numpy.zeros_like(self.block.threads.all.on))
        self._most_lanes = self.block.recorder.lanes + MOST // 2  # half a trace for one block is no kernel
        self.call_function(kernel, arguments, self.block.threads.all)
        self.block.end_epoch()

    def call_function(self, function: Function, arguments: dict[str, Value], mask: Mask) -> Value:
        caller, depth = self.frame, self.frame.depth + 1
        if depth > DEPTH:
            raise RecursionError(f"{function.name} calling itself more than {DEPTH} times")
        variables = {name: (value, mask) for name, value in arguments.items()}
        self.frame = Frame(function, variables, depth)
        self.run(function.body, mask)
        value, self.frame = self.frame.value, caller
        return value

    def run(self, body: Sequence[ast.stmt], mask: Mask) -> Mask:
        """Execute the statements of `body`; return the lanes that reach its end."""
        for statement in body:
            if not mask.count:
                break
            self.line = statement.lineno
            self._steps += 1
            if self._steps > STEPS or self.block.recorder.lanes > self._most_lanes:
                line = self.frame.loops[-1].line if self.frame.loops else self.line
                rest = f"in this loop after {self._steps} statements: see that it ends."
                who = mask.lanes.tolist()
                self.block.findings.add_about("endless", line, self.block.index, who, "is", rest)
                raise Endless
            operations = self.sources.operations[statement]
            self._operations += operations
            self.block.recorder.work += operations * len(mask.warps)
            execute = getattr(self, f"_{type(statement).__name__}", None)
            if execute is None:
                raise self.unsupported(statement, f"the statement {type(statement).__name__}")
            mask = execute(statement, mask)
        return mask

    # Assignments

    def _Assign(self, node: ast.Assign | ast.AnnAssign, mask: Mask) -> Mask:
        if node.value is not None:
            value = self.value(node.value, mask)
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                self.assign(target, value, mask)
        return mask

    _AnnAssign = _Assign

    def _AugAssign(self, node: ast.AugAssign, mask: Mask) -> Mask:
        target = node.target
        if isinstance(target, ast.Subscript):  # the index is computed once
            view, index = self.place(self.value(target.value, mask), target, mask)
            old = self.block.load(view, index, mask, target.lineno)
            new = arithmetic.binary(node.op, old, self.value(node.value, mask))
            self.block.store(view, index, new, mask, target.lineno)
        else:
            old = self.value(target, mask)
            self.assign(target, arithmetic.binary(node.op, old, self.value(node.value, mask)), mask)
        return mask

    def assign(self, target: ast.expr, value: Value, mask: Mask) -> None:
        """Give `target` a value in the lanes of `mask`; the others keep theirs."""
        if isinstance(target, ast.Name):
            if isinstance(value, View) and value.memory.name == UNNAMED:
                value.memory.name = target.id
            old, had = self.frame.variables.get(target.id, (None, self._none))
            if had is not mask and (had.on & ~mask.on).any():
                value = self.merged(mask, value, old)
                mask = had if (mask.on <= had.on).all() else Mask(had.on | mask.on)
            self.frame.variables[target.id] = value, mask
        elif isinstance(target, ast.Tuple | ast.List):
            if not isinstance(value, tuple) or len(value) != len(target.elts):
                raise self.unsupported(target, f"this unpacking into {len(target.elts)} names")
            for part, item in zip(target.elts, value, strict=True):
                self.assign(part, item, mask)
        elif isinstance(target, ast.Subscript):
            view, index = self.place(self.value(target.value, mask), target, mask)
            if len(index) != len(view.shape):
                raise self.unsupported(target, "the assignment of a whole row: assign its items")
            self.block.store(view, index, value, mask, target.lineno)
        else:
            raise self.unsupported(target, f"{ast.unparse(target)} as a target")

    # Control flow

    def _If(self, node: ast.If, mask: Mask) -> Mask:
        yes = mask.where(truth(self.value(node.test, mask)))
        no = mask.without(yes)
        self.block.recorder.branch(self.block.number, node.lineno, mask, yes)
        ends = []
        for lanes, body in ((yes, node.body), (no, node.orelse)):
            before = self._operations
            ends.append(self.run(body, lanes))
            self.block.recorder.count_waste(node.lineno, mask, lanes, self._operations - before)
        return mask.joined(*ends)

    def _While(self, node: ast.While, mask: Mask) -> Mask:
        def another_round(lanes: Mask) -> Mask:
            self.line = node.lineno
            return lanes.where(truth(self.value(node.test, lanes)))

        return self._loop(node, mask, another_round)

    def _For(self, node: ast.For, mask: Mask) -> Mask:
        call = node.iter
        if not isinstance(call, ast.Call) or call.keywords:
            return self._over_tuple(node, mask)
        if self.value(call.func, mask) is not builtins.range:
            return self._over_tuple(node, mask)
        bounds = [self.value(argument, mask) for argument in call.args]
        if not 1 <= len(bounds) <= 3 or any(bound.dtype.kind not in "iub" for bound in bounds):
            raise self.unsupported(node, "this range: it takes one to three whole numbers")
        one = numpy.int64(1)
        bounds = [bound.astype(numpy.int64) for bound in bounds]
        begin, end, step = (numpy.int64(0), bounds[0], one) if len(bounds) == 1 else (*bounds, one)[:3]
        if numpy.any(spread(step, len(mask.on))[mask.lanes] == 0):
            raise self.unsupported(node, "a range whose step is 0")
        at = begin - step

        def another_round(lanes: Mask) -> Mask:
            nonlocal at
            at = at + step
            left = lanes.where(numpy.where(step > 0, at < end, at > end))
            if left.count:
                self.assign(node.target, at, left)
            return left

        return self._loop(node, mask, another_round)

    def _over_tuple(self, node: ast.For, mask: Mask) -> Mask:
        """Execute a loop over a tuple's items, which are the same in all lanes."""
        items = self.value(node.iter, mask)
        if not isinstance(items, tuple):
            raise self.unsupported(node, f"a loop over {ast.unparse(node.iter)}: use range")
        left = iter(items)

        def another_round(lanes: Mask) -> Mask:
            for item in left:
                self.assign(node.target, item, lanes)
                return lanes
            return self._none

        return self._loop(node, mask, another_round)

    def _loop(self, node: ast.For | ast.While, mask: Mask, another_round: Callable[[Mask], Mask]) -> Mask:
        """Execute a loop; of the lanes it is given, ``another_round`` returns those that stay in the loop."""
        loop, loops, done = Loop(node.lineno), self.frame.loops, [self._none]
        loops.append(loop)
        active, recorder = mask, self.block.recorder
        while active.count:
            inside = another_round(active)
            recorder.branch(self.block.number, node.lineno, active, inside)
            done.append(active.without(inside))
            before = self._operations
            loop.continued.clear()
            through = self.run(node.body, inside)
            recorder.count_waste(node.lineno, mask, inside, self._operations - before)
            active = inside.joined(through, *loop.continued)
        loops.pop()
        return mask.joined(self.run(node.orelse, mask.joined(*done)), *loop.broken)

    def _Break(self, node: ast.Break, mask: Mask) -> Mask:
        self.frame.loops[-1].broken.append(mask)
        return self._none

    def _Continue(self, node: ast.Continue, mask: Mask) -> Mask:
        self.frame.loops[-1].continued.append(mask)
        return self._none

    def _Return(self, node: ast.Return, mask: Mask) -> Mask:
        frame = self.frame
        value = None if node.value is None else self.value(node.value, mask)
        frame.value = value if frame.value is None else self.merged(mask, value, frame.value)
        if frame.depth == 1:  # the kernel's own
            self.block.living = self.block.living.without(mask)
        return self._none

    def _Expr(self, node: ast.Expr, mask: Mask) -> Mask:
        if isinstance(node.value, ast.Call):
            self._Call(node.value, mask, wants_value=False)
        elif not isinstance(node.value, ast.Constant):  # a docstring, or ... where the learner has not begun
            self.value(node.value, mask)
        return mask

    def _Pass(self, node: ast.stmt, mask: Mask) -> Mask:
        return mask

    _Assert = _Pass  # compiled only in debug mode
