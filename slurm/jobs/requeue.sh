#!/bin/bash
# May be thrown out by a job of higher priority and put back into the queue: --requeue allows it,
# and --open-mode=append keeps what the first run wrote.
#SBATCH --job-name=requeue
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --ntasks=1
#SBATCH --time=00:05:00

run=$((${SLURM_RESTART_COUNT:-0} + 1))
echo "$(date +%T) run $run of job $SLURM_JOB_ID on $SLURMD_NODENAME"
sleep "${1:-20}"
echo "$(date +%T) done"
