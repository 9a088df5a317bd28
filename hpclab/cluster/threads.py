"""One thread per task unless asked: the libraries' own thread pools, told before they are loaded.

Four workers that each start as many threads as the machine has cores do not run four tasks; they run
sixteen threads that push each other off the cores. Each library reads a variable of its own, and most read
it once, when they are imported. So the variables are set before the worker's Python starts.
"""

VARIABLES = (
    "OMP_NUM_THREADS",  # OpenMP, and with it torch
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",  # Rust libraries, the tokenisers among them
)


def environment(threads: int) -> dict[str, str]:
    """Environment variables that hold every known library to `threads` threads."""
    values = dict.fromkeys(VARIABLES, str(threads))
    values["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    return values
