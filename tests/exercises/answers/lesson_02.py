"""Lesson 02: right kernels, each written in its own way, and the wrong ones a learner is likely to write."""

from numba import float32

from hpclab.kernels import reduction, transpose, vector_add
from hpclab.kernels.cuda import cuda
from hpclab.models import gpu_memory


def sectors_counted(stride, itemsize):
    return len({stride * itemsize * lane // 32 for lane in range(32)})


def sectors_by_formula(stride, itemsize):
    return max(1, min(32, stride * itemsize))


def sectors_without_a_ceiling(stride, itemsize):
    return stride * itemsize


def sectors_of_floats(stride, itemsize):
    return min(32, 4 * stride)


def sectors_without_zero(stride, itemsize):
    return min(32, stride * itemsize)


def sectors_are_lines(stride, itemsize):
    return len({stride * itemsize * lane // 128 for lane in range(32)})


def sectors_of_the_bytes(stride, itemsize):
    return 32 * itemsize // 32


def sectors_one_each(stride, itemsize):
    return 32


def sectors_without_a_return(stride, itemsize):
    max(1, min(32, stride * itemsize))


def sectors_off_by_one(stride, itemsize):
    return 31 * stride * itemsize // 32 + 2


@cuda.jit
def difference_by_out(x, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i + 1] - x[i]


@cuda.jit
def difference_in_strides(x, out):
    for i in range(cuda.grid(1), x.shape[0] - 1, cuda.gridsize(1)):
        right = x[i + 1]
        out[i] = right - x[i]


@cuda.jit
def difference_unguarded(x, out):
    i = cuda.grid(1)
    out[i] = x[i + 1] - x[i]


@cuda.jit
def difference_by_x(x, out):
    i = cuda.grid(1)
    if i < x.size:
        out[i] = x[i + 1] - x[i]


@cuda.jit
def difference_up_to(x, out):
    i = cuda.grid(1)
    if i <= out.size:
        out[i] = x[i + 1] - x[i]


@cuda.jit
def difference_too_careful(x, out):
    i = cuda.grid(1)
    if i < out.size - 1:
        out[i] = x[i + 1] - x[i]


@cuda.jit
def difference_one_block(x, out):
    i = cuda.threadIdx.x
    if i < out.size:
        out[i] = x[i + 1] - x[i]


@cuda.jit
def difference_turned(x, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i] - x[i + 1]


@cuda.jit
def difference_by_every_thread(x, out):
    for i in range(out.size):
        out[i] = x[i + 1] - x[i]


@cuda.jit
def difference_constant(x, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = 1


@cuda.jit
def difference_in_numpy(x, out):
    out[:] = x[1:] - x[:-1]


@cuda.jit
def scaled_in_strides(factor, x, y):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] += factor * x[i]


@cuda.jit
def scaled_by_while(factor, x, y):
    i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    while i < y.shape[0]:
        y[i] = y[i] + factor * x[i]
        i += cuda.blockDim.x * cuda.gridDim.x


@cuda.jit
def scaled_in_stretches(factor, x, y):
    each = (y.size + cuda.gridsize(1) - 1) // cuda.gridsize(1)
    first = cuda.grid(1) * each
    for i in range(first, min(first + each, y.size)):
        y[i] += factor * x[i]


@cuda.jit
def scaled_by_block(factor, x, y):
    for i in range(cuda.grid(1), y.size, cuda.blockDim.x):
        y[i] += factor * x[i]


@cuda.jit
def scaled_once(factor, x, y):
    i = cuda.grid(1)
    if i < y.size:
        y[i] += factor * x[i]


@cuda.jit
def scaled_by_one_thread(factor, x, y):
    if cuda.grid(1) == 0:
        for i in range(y.size):
            y[i] += factor * x[i]


@cuda.jit
def scaled_from_the_thread(factor, x, y):
    for i in range(cuda.threadIdx.x, y.size, cuda.gridsize(1)):
        y[i] += factor * x[i]


@cuda.jit
def scaled_twice_read(factor, x, y):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] += x[i]
        y[i] += (factor - 1) * x[i]


@cuda.jit
def scaled_unguarded(factor, x, y):
    each = y.size // cuda.gridsize(1) + 1
    for k in range(each):
        i = cuda.grid(1) + k * cuda.gridsize(1)
        y[i] += factor * x[i]


@cuda.jit
def scaled_over_y(factor, x, y):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = factor * x[i]


@cuda.jit
def scaled_the_other(factor, x, y):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = factor * y[i] + x[i]


@cuda.jit
def scaled_without_factor(factor, x, y):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] += x[i]


@cuda.jit
def scaled_one_by_one(factor, x, y):
    i = cuda.grid(1)
    while i < y.size:
        y[i] += factor * x[i]
        i += 1


@cuda.jit
def scaled_by_the_number_of_blocks(factor, x, y):
    for i in range(cuda.grid(1), y.size, cuda.gridDim.x):
        y[i] += factor * x[i]


@cuda.jit
def sums_by_tree(x, sums):
    tile = cuda.shared.array(128, float32)
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    tile[t] = x[i] if i < x.size else 0
    cuda.syncthreads()
    half = 64
    while half > 0:
        if t < half:
            tile[t] += tile[t + half]
        cuda.syncthreads()
        half //= 2
    if t == 0:
        sums[cuda.blockIdx.x] = tile[0]


@cuda.jit
def sums_by_the_first(x, sums):
    tile = cuda.shared.array(128, float32)
    t = cuda.threadIdx.x
    if cuda.grid(1) < x.size:
        tile[t] = x[cuda.grid(1)]
    else:
        tile[t] = 0
    cuda.syncthreads()
    if t == 0:
        total = float32(0)
        for k in range(128):
            total += tile[k]
        sums[cuda.blockIdx.x] = total


@cuda.jit
def sums_without_barriers(x, sums):
    tile = cuda.shared.array(128, float32)
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    tile[t] = x[i] if i < x.size else 0
    half = 64
    while half > 0:
        if t < half:
            tile[t] += tile[t + half]
        half //= 2
    if t == 0:
        sums[cuda.blockIdx.x] = tile[0]


@cuda.jit
def sums_with_the_first_barrier(x, sums):
    tile = cuda.shared.array(128, float32)
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    tile[t] = x[i] if i < x.size else 0
    cuda.syncthreads()
    half = 64
    while half > 0:
        if t < half:
            tile[t] += tile[t + half]
        half //= 2
    if t == 0:
        sums[cuda.blockIdx.x] = tile[0]


@cuda.jit
def sums_with_a_barrier_inside(x, sums):
    tile = cuda.shared.array(128, float32)
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    tile[t] = x[i] if i < x.size else 0
    cuda.syncthreads()
    half = 64
    while half > 0:
        if t < half:
            tile[t] += tile[t + half]
            cuda.syncthreads()
        half //= 2
    if t == 0:
        sums[cuda.blockIdx.x] = tile[0]


@cuda.jit
def sums_of_a_warp(x, sums):
    tile = cuda.shared.array(128, float32)
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    tile[t] = x[i] if i < x.size else 0
    cuda.syncwarp()
    if t == 0:
        total = float32(0)
        for k in range(128):
            total += tile[k]
        sums[cuda.blockIdx.x] = total


@cuda.jit
def sums_of_nothing(x, sums):
    tile = cuda.shared.array(128, float32)
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    if i < x.size:
        tile[t] = x[i]
    cuda.syncthreads()
    if t == 0:
        total = float32(0)
        for k in range(128):
            total += tile[k]
        sums[cuda.blockIdx.x] = total


@cuda.jit
def sums_by_every_thread(x, sums):
    total = float32(0)
    for k in range(128):
        i = cuda.blockIdx.x * 128 + k
        if i < x.size:
            total += x[i]
    if cuda.threadIdx.x == 0:
        sums[cuda.blockIdx.x] = total


@cuda.jit
def sums_of_the_first_block(x, sums):
    tile = cuda.shared.array(128, float32)
    t = cuda.threadIdx.x
    tile[t] = x[t] if t < x.size else 0
    cuda.syncthreads()
    if t == 0:
        total = float32(0)
        for k in range(128):
            total += tile[k]
        sums[cuda.blockIdx.x] = total


@cuda.jit
def turned_padded(a, out):
    tile = cuda.shared.array((32, 33), float32)
    column, row = cuda.grid(2)
    if row < a.shape[0] and column < a.shape[1]:
        tile[cuda.threadIdx.y, cuda.threadIdx.x] = a[row, column]
    cuda.syncthreads()
    column = cuda.blockIdx.y * 32 + cuda.threadIdx.x
    row = cuda.blockIdx.x * 32 + cuda.threadIdx.y
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column] = tile[cuda.threadIdx.x, cuda.threadIdx.y]


@cuda.jit
def turned_flat(a, out):
    tile = cuda.shared.array(32 * 33, float32)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    left, top = cuda.blockIdx.x * 32, cuda.blockIdx.y * 32
    if top + y < a.shape[0] and left + x < a.shape[1]:
        tile[x * 33 + y] = a[top + y, left + x]
    cuda.syncthreads()
    if left + y < a.shape[1] and top + x < a.shape[0]:
        out[left + y, top + x] = tile[y * 33 + x]


@cuda.jit
def turned_unpadded(a, out):
    tile = cuda.shared.array((32, 32), float32)
    column, row = cuda.grid(2)
    if row < a.shape[0] and column < a.shape[1]:
        tile[cuda.threadIdx.y, cuda.threadIdx.x] = a[row, column]
    cuda.syncthreads()
    column = cuda.blockIdx.y * 32 + cuda.threadIdx.x
    row = cuda.blockIdx.x * 32 + cuda.threadIdx.y
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column] = tile[cuda.threadIdx.x, cuda.threadIdx.y]


@cuda.jit
def turned_padded_below(a, out):
    tile = cuda.shared.array((33, 32), float32)
    column, row = cuda.grid(2)
    if row < a.shape[0] and column < a.shape[1]:
        tile[cuda.threadIdx.y, cuda.threadIdx.x] = a[row, column]
    cuda.syncthreads()
    column = cuda.blockIdx.y * 32 + cuda.threadIdx.x
    row = cuda.blockIdx.x * 32 + cuda.threadIdx.y
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column] = tile[cuda.threadIdx.x, cuda.threadIdx.y]


@cuda.jit
def turned_padded_by_two(a, out):
    tile = cuda.shared.array((32, 34), float32)
    column, row = cuda.grid(2)
    if row < a.shape[0] and column < a.shape[1]:
        tile[cuda.threadIdx.y, cuda.threadIdx.x] = a[row, column]
    cuda.syncthreads()
    column = cuda.blockIdx.y * 32 + cuda.threadIdx.x
    row = cuda.blockIdx.x * 32 + cuda.threadIdx.y
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column] = tile[cuda.threadIdx.x, cuda.threadIdx.y]


@cuda.jit
def turned_without_a_barrier(a, out):
    tile = cuda.shared.array((32, 33), float32)
    column, row = cuda.grid(2)
    if row < a.shape[0] and column < a.shape[1]:
        tile[cuda.threadIdx.y, cuda.threadIdx.x] = a[row, column]
    column = cuda.blockIdx.y * 32 + cuda.threadIdx.x
    row = cuda.blockIdx.x * 32 + cuda.threadIdx.y
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column] = tile[cuda.threadIdx.x, cuda.threadIdx.y]


@cuda.jit
def turned_without_a_tile(a, out):
    column, row = cuda.grid(2)
    if row < a.shape[0] and column < a.shape[1]:
        out[column, row] = a[row, column]


@cuda.jit
def turned_in_place(a, out):
    tile = cuda.shared.array((32, 33), float32)
    column, row = cuda.grid(2)
    if row < a.shape[0] and column < a.shape[1]:
        tile[cuda.threadIdx.y, cuda.threadIdx.x] = a[row, column]
    cuda.syncthreads()
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column] = tile[cuda.threadIdx.x, cuda.threadIdx.y]


@cuda.jit
def not_yet(a, out):
    """A kernel whose body is still to be written."""
    ...


@cuda.jit
def turned_by_the_package(a, out):
    transpose.padded(a, out)


RIGHT = {
    "SECTORS": [sectors_counted, sectors_by_formula],
    "DIFFERENCE": [difference_by_out, difference_in_strides],
    "FEW_SECTORS": [scaled_in_strides, scaled_by_while],
    "BLOCK_SUMS": [sums_by_tree, sums_by_the_first],
    "TRANSPOSE": [turned_padded, turned_flat],
}

WRONG = {
    "SECTORS": [
        (sectors_without_a_ceiling, "cannot touch more than 32"),
        (sectors_of_floats, "items of 4 bytes only"),
        (sectors_without_zero, "stride of 0"),
        (sectors_are_lines, "lines of 128"),
        (sectors_of_the_bytes, "bytes asked for"),
        (sectors_one_each, "worst case"),
        (lambda stride, itemsize: 1, "One request is not one sector"),
        (sectors_off_by_one, "count the different results"),
        (lambda stride, itemsize: "four", "must be a number"),
        (sectors_without_a_return, "is the return missing?"),
        (lambda stride, itemsize: len({stride * lane // 32 for lane in range(32)}), "you say 1 sector."),
    ],
    "DIFFERENCE": [
        (difference_unguarded, "and 28 more"),
        (difference_by_x, "one item beyond its own"),
        (difference_up_to, "one item beyond its own"),
        (difference_too_careful, "the last item of out is never written"),
        (difference_one_block, "begins at 0 in every block"),
        (difference_turned, "and should be"),
        (difference_by_every_thread, "all the items"),
        (difference_constant, "and should be"),
        (difference_in_numpy, "tracer does not know"),
        (not_yet, "Not solved yet"),
        ([1.0, 2.0], "must be a kernel"),
    ],
    "FEW_SECTORS": [
        (scaled_in_stretches, "stretch of its own"),
        (scaled_by_block, "several threads work on one item"),
        (scaled_once, "each thread needs a loop"),
        (scaled_over_y, "what it held is gone"),
        (scaled_the_other, "factor belongs to x"),
        (scaled_without_factor, "factor is missing"),
        (scaled_one_by_one, "several threads work on one item"),
        (scaled_by_the_number_of_blocks, "several threads work on one item"),
        (scaled_by_one_thread, "let all threads work"),
        (scaled_from_the_thread, "several threads work on one item"),
        (scaled_twice_read, "more often than once"),
        (scaled_unguarded, "the access with an if"),
    ],
    "BLOCK_SUMS": [
        (sums_without_barriers, "The simulator gets by without"),
        (sums_with_the_first_barrier, "The simulator gets by without"),
        (sums_with_a_barrier_inside, "not inside an if"),
        (sums_of_a_warp, "put cuda.syncthreads()"),
        (sums_of_nothing, "must put 0 into the tile"),
        (sums_by_every_thread, "Read each item once"),
        (sums_of_the_first_block, "and should be"),
    ],
    "TRANSPOSE": [
        (turned_unpadded, "lies in one bank"),
        (turned_padded_below, "lies in one bank"),
        (turned_padded_by_two, "shift by one"),
        (turned_without_a_barrier, "put cuda.syncthreads()"),
        (turned_without_a_tile, "write rows"),
        (turned_in_place, "never written"),
        (not_yet, "Not solved yet"),
    ],
}

OWN = {
    "SECTORS": [gpu_memory.sectors],
    "DIFFERENCE": [vector_add.coalesced],
    "FEW_SECTORS": [vector_add.grid_stride],
    "BLOCK_SUMS": [reduction.shared_tree],
    "TRANSPOSE": [turned_by_the_package, *(step.kernel for step in transpose.STEPS)],
}
