#!/bin/bash
# Counts until its time limit ends it. The signal that Slurm sends before is the chance to save:
# the next job goes on from there. `B:` sends it to this shell, not to tasks that srun started.
#SBATCH --job-name=time-limit
#SBATCH --output=%x.out
#SBATCH --open-mode=append
#SBATCH --ntasks=1
#SBATCH --time=00:01:00
#SBATCH --signal=B:USR1@40

checkpoint=time-limit.checkpoint
count=$(cat "$checkpoint" 2> /dev/null || echo 0)
saved=$count near=

save() {
    echo "$count" > "$checkpoint.part" && mv "$checkpoint.part" "$checkpoint"
    saved=$count
}
trap 'save; near=1; echo "$(date +%T) USR1: saved at $saved, from now on every 5 s"' USR1
trap 'echo "$(date +%T) TERM: at $count, lost $((count - saved))"; exit 143' TERM

echo "$(date +%T) job $SLURM_JOB_ID starts from $count"
while true; do
    sleep 0.5 & # in the background, because bash runs a trap only between commands,
    wait $!     # and `wait` is the one that a signal interrupts at once
    count=$((count + 1))
    if [[ $near && $((count % 10)) == 0 ]]; then save; fi
done
