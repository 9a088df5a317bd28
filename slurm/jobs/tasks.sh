#!/bin/bash
#SBATCH --job-name=tasks
#SBATCH --output=%x-%j.out
#SBATCH --ntasks=2
#SBATCH --time=00:02:00

echo "without srun: on $SLURMD_NODENAME"
srun bash -c 'echo "with srun: task $SLURM_PROCID of $SLURM_NTASKS on $SLURMD_NODENAME"'
