#!/bin/bash
# Meant: four tasks, wherever there is room, each writing part-<rank>.txt.
# Seen:  the job ends well, but only part-0.txt is there.
#SBATCH --job-name=four-tasks
#SBATCH --output=%x-%j.out
#SBATCH --time=00:05:00

set -euo pipefail
rm -f part-*.txt

#SBATCH --ntasks=4

srun bash -c 'echo "rank $SLURM_PROCID of $SLURM_NTASKS on $SLURMD_NODENAME" > part-$SLURM_PROCID.txt'
