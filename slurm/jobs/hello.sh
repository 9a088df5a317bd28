#!/bin/bash
#SBATCH --job-name=hello
#SBATCH --output=%x-%j.out
#SBATCH --ntasks=1
#SBATCH --time=00:02:00

echo "job $SLURM_JOB_ID runs on $SLURMD_NODENAME with $SLURM_CPUS_ON_NODE core(s)"
echo "it was submitted from $SLURM_SUBMIT_DIR"
sleep 1
