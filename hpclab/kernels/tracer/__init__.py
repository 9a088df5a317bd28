"""The tracer: a kernel's own source, executed lane by lane on a deterministic model of a GPU's memory system.

    trace = tracer.trace(kernel, grid, block, *args)
    trace.requests, trace.findings, trace.after["out"]

No GPU and no simulator is needed, and the kernel is not changed.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy

from hpclab import checks
from hpclab.kernels.tracer import arithmetic
from hpclab.kernels.tracer.block import Block
from hpclab.kernels.tracer.findings import Findings, races_between_blocks
from hpclab.kernels.tracer.interpreter import Endless, Interpreter
from hpclab.kernels.tracer.lanes import Dim3, Threads
from hpclab.kernels.tracer.recorder import Memory, Recorder, View, whole
from hpclab.kernels.tracer.source import Function, Sources, Unsupported, python_function
from hpclab.models.gpu_memory import Array, KernelTrace

__all__ = ["Unsupported", "trace"]

THREADS, BLOCK, GRID = 1024, (1024, 1024, 64), (2**31 - 1, 65535, 65535)
BLOCKS = 65_536  # traced at once
ALIGNMENT = 256  # bytes; cudaMalloc's

# The device's memory: a copy of each array of the caller's, by its id: the same object at the same address.
# The array stays here too, or what is made from the next argument could get its id.
Device = dict[int, tuple[Any, Memory]]


def trace(
    kernel: object, grid: Any, block: Any, *args: Any, blocks: Iterable[Any] | None = None
) -> KernelTrace:
    """Execute `kernel[grid, block](*args)` on a model of a GPU's memory system and record what it did.

    `kernel` is a function decorated with numba.cuda.jit or a plain one; `args` are numbers and NumPy arrays
    (or what turns into one), left unchanged; `blocks` are the blockIdx to execute in turn, all if None.

    Threads that have left the kernel do not count at cuda.syncthreads(), as on GPUs of compute capability 7
    and later. Threads that wait for one another in a loop (a lock) are found "endless". Raises ValueError for
    what is no launch, and Unsupported, a ValueError too, for what the tracer does not know.
    """
    function = python_function(kernel)
    if function is None:
        raise ValueError(f"trace() takes a kernel, a function made with def, not {type(kernel).__name__}.")
    program = (sources := Sources()).function(function)
    grid_size, block_size = _dim3("The grid's size", grid, 1), _dim3("The block's size", block, 1)
    names = list(program.signature.parameters)
    if len(args) != len(names):
        takes = f"takes {len(names)} arguments ({', '.join(names)})"
        raise ValueError(f"{program.name} {takes}, not {len(args)}.")
    device: Device = {}
    held = {name: _argument(name, arg, device) for name, arg in zip(names, args, strict=True)}
    after = {name: value.memory.array for name, value in held.items() if isinstance(value, View)}
    problem = _over_limits(grid_size, block_size)
    chosen = () if problem else _blocks_to_trace(blocks, grid_size)
    recorder = Recorder(Threads((1, 1, 1) if problem else block_size), chosen)
    findings = Findings(recorder.threads, grid_size)
    if problem:
        findings.add("limit", program.line, problem)
    own = _execute(program, held, sources, recorder, findings)
    requests = recorder.requests()
    findings.add_costs(requests, recorder)
    arrays = (*(Array(memory.name, memory.base) for _, memory in device.values()), *own)
    return KernelTrace(
        program.name, sources.text, grid_size, block_size, chosen, arrays, requests,
        tuple(recorder.branches), findings.sorted(), after, tuple(recorder.barriers),
    )  # fmt: skip


def _execute(
    program: Function, held: dict[str, Any], sources: Sources, recorder: Recorder, findings: Findings
) -> list[Array]:
    """Execute all blocks of `recorder` with arguments `held`; return the shared and local arrays that they
    made, one for each place in the source."""
    own: dict[Array, None] = {}
    for number in range(len(recorder.blocks)):
        block = Block(number, recorder, findings)
        interpreter = Interpreter(sources, block)
        try:
            with numpy.errstate(all="ignore"):
                interpreter.launch(program, dict(held))
        except Endless:
            break
        except Unsupported:
            raise
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
            raise sources.refused(interpreter.line, f"cannot execute this: {error}") from error
        finally:
            own |= dict.fromkeys(Array(one.name, one.base) for one in block.own.values())
    else:
        races_between_blocks(recorder, findings)
    return [*own]


def _dim3(name: str, value: Any, fill: int) -> Dim3:
    """`value`, one to three whole numbers, with the missing ones `fill`; ValueError, about `name`, if not."""
    sizes = value if isinstance(value, tuple | list) else (value,)
    if not 1 <= len(sizes) <= 3:
        raise ValueError(f"{name} has one to three dimensions, not {len(sizes)}.")
    x, y, z, *_ = [checks.integer(name, size, -(2**63), 2**63) for size in sizes] + 2 * [fill]
    return x, y, z


def _over_limits(grid: Dim3, block: Dim3) -> str:
    """Why no GPU would start this launch; empty where it would."""
    larger, smaller = "fewer and larger blocks", "more and smaller blocks"
    for name, sizes, limits, use in (("grid", grid, GRID, larger), ("block", block, BLOCK, smaller)):
        for axis, size, most in zip("xyz", sizes, limits, strict=True):
            if size < 1:
                return f"The {name} is {size} in {axis}, so nothing would run: each size is at least 1."
            if size > most:
                return f"The {name} is {size} in {axis}, but at most {most} is allowed: use {use}."
    threads = math.prod(block)
    allowed = f"but at most {THREADS} are allowed: use more blocks."
    return f"The block has {threads} threads, {allowed}" if threads > THREADS else ""


def _blocks_to_trace(blocks: Iterable[Any] | None, grid: Dim3) -> tuple[Dim3, ...]:
    """blockIdx of the `blocks` to trace, all of `grid` if None; ValueError for others, or too many."""
    if blocks is None:
        if (all_blocks := math.prod(grid)) > BLOCKS:
            raise ValueError(f"The grid has {all_blocks} blocks: choose at most {BLOCKS} with blocks=[...].")
        return tuple((x, y, z) for z in range(grid[2]) for y in range(grid[1]) for x in range(grid[0]))
    listed = checks.instances("blocks", blocks, object, "a block's index")
    chosen = dict.fromkeys(_dim3("A block's index", index, 0) for index in listed)
    if not 1 <= len(chosen) == len(listed) <= BLOCKS:
        raise ValueError(f"blocks must name 1 to {BLOCKS} different blocks.")
    for index in chosen:
        if not all(0 <= at < size for at, size in zip(index, grid, strict=True)):
            raise ValueError(f"A block's index is from (0, 0, 0) to below the grid's {grid}, not {index}.")
    return tuple(chosen)


def _argument(name: str, value: Any, device: Device) -> Any:
    """The argument `value` as the kernel's parameter holds it: a View of a copy in `device`, or a number."""
    if isinstance(value, tuple):
        return tuple(_argument(f"{name}[{place}]", item, device) for place, item in enumerate(value))
    if isinstance(value, bool | int | float | complex | numpy.generic):
        return arithmetic.number(value)
    if hasattr(value, "copy_to_host"):
        value = value.copy_to_host()
    elif not isinstance(value, numpy.ndarray) and hasattr(value, "__array__"):
        value = numpy.asarray(value)
    if not isinstance(value, numpy.ndarray) or value.dtype.kind not in "biufc" or value.ndim == 0:
        must = "must be a number or a NumPy array of numbers"
        raise ValueError(f"The argument {name} {must}, not {type(value).__name__}.")
    if id(value) not in device:
        base = sum(-(-max(1, held.data.nbytes) // ALIGNMENT) * ALIGNMENT for _, held in device.values())
        device[id(value)] = value, Memory(name, "global", numpy.array(value, order="A"), base)
    return whole(device[id(value)][1])
