"""Who published the rows that ship: the first column of a table -> the words a figure shows.

The whole citations and the licences are in `reference/LICENCE.md`.
"""

from __future__ import annotations

CITATIONS = {
    "vtrain_nccl_lut": "Bang et al., vTrain, 2024",
    "dgxc_nccl_readme": "NVIDIA, dgxc-benchmarking",
    "stas00_network": "Bekman, ML Engineering",
    "stas00_network_bench": "Bekman, ML Engineering",
    "nccl_tests_cluster": "nccl-tests-cluster",
    "bigscience_bandwidth": "BigScience, experiments",
    "stackhpc_hpc_tests": "StackHPC, hpc-tests",
    "sarus_cookbook": "Sarus cookbook",
    "cscs_mpich": "CSCS, documentation",
}


def citation(source: str) -> str:
    """The citation of a source key; the key itself where it is somebody's own table."""
    return CITATIONS.get(source, source)
