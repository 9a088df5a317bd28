"""Environment variables that limit libraries' threads, each read once, when the library is imported."""

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
