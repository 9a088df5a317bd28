#!/bin/bash
# A step of a pipeline: works for $1 seconds, then ends with exit code $2. What follows a script's
# name on the sbatch line are its arguments:   sbatch step.sh 2 0
#SBATCH --job-name=step
#SBATCH --output=%x-%j.out
#SBATCH --ntasks=1
#SBATCH --time=00:05:00

echo "$SLURM_JOB_NAME starts at $(date +%T)"
sleep "${1:-1}"
echo "$SLURM_JOB_NAME ends at $(date +%T) with exit code ${2:-0}"
exit "${2:-0}"
