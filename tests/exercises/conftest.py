import pytest

from hpclab.cluster import slurm


@pytest.fixture(autouse=True)
def no_slurm(monkeypatch):
    """A machine without Slurm: job scripts are judged by reading and by a dry run."""

    def missing(**_):
        raise slurm.SlurmMissing("There is no slurmctld here: sudo apt install slurm-wlm munge.")

    monkeypatch.setattr(slurm, "connect", missing)
