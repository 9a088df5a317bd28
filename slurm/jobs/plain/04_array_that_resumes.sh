#!/bin/bash
# An array of runs: each saves when its time is nearly over, and queues again.
# Run: sbatch --wait 04_array_that_resumes.sh
#SBATCH --job-name=runs
#SBATCH --output=%x-%a.out
#SBATCH --open-mode=append
#SBATCH --array=0-3%2
#SBATCH --ntasks=1
#SBATCH --time=00:10:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
# Four runs, two at a time; ten minutes each; the signal two minutes before.

set -euo pipefail
rates=(0.1 0.03 0.01 0.003)
rate=${rates[$SLURM_ARRAY_TASK_ID]}
checkpoint=run-$SLURM_ARRAY_TASK_ID.step
steps=20

stop=
trap 'stop=1' USR1 TERM # heard between two steps: make them short

step=$(cat "$checkpoint" 2> /dev/null || echo 0)
echo "$(date +%T) rate $rate on $SLURMD_NODENAME, from step $step"
begin=$SECONDS
while ((step < steps)) && [[ -z $stop ]]; do
    sleep 0.1 # your program, for one step: srun python train.py ...
    step=$((step + 1))
done

echo "$step" > "$checkpoint.part" # never half a file: write, then rename
mv "$checkpoint.part" "$checkpoint"
echo "$(date +%T) saved at step $step after $((SECONDS - begin)) s"
if ((step < steps)); then
    scontrol requeue "$SLURM_JOB_ID"
fi
