#!/bin/bash
# One job script, many inputs: every array task is a job of its own, told apart by its index.
#SBATCH --job-name=array
#SBATCH --output=%x-%A_%a.out
#SBATCH --array=0-5
#SBATCH --ntasks=1
#SBATCH --time=00:02:00

rates=(0.3 0.1 0.03 0.01 0.003 0.001)
rate=${rates[$SLURM_ARRAY_TASK_ID]}
sleep 2 # stands for a training run with this learning rate
echo "$rate" > "rate-$SLURM_ARRAY_TASK_ID.txt"
