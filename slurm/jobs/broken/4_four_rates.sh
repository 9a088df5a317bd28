#!/bin/bash
# Meant: each of the four learning rates once, the results in result-0.txt to result-3.txt.
# Seen:  one result.txt with one line, and one of the four array tasks failed.
#SBATCH --job-name=four-rates
#SBATCH --output=%x-%A_%a.out
#SBATCH --ntasks=1
#SBATCH --time=00:05:00
#SBATCH --array=1-4

set -euo pipefail
rates=(0.1 0.03 0.01 0.003)
rate=${rates[$SLURM_ARRAY_TASK_ID]}
echo "learning rate $rate" > result.txt
