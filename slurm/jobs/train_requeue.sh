#!/bin/bash
# train.sh that goes on by itself: when a job of higher priority throws it out, Slurm queues it
# again (--requeue); when its time limit is near, it saves and puts itself back.
#     sbatch --partition=<a preemptible one> train_requeue.sh --steps 400
#SBATCH --job-name=train-requeue
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --ntasks=2
#SBATCH --cpus-per-task=1
#SBATCH --time=00:30:00
#SBATCH --signal=USR1@60

PYTHON=${PYTHON:-python}
export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
MASTER_ADDR=$(scontrol show node "$SLURMD_NODENAME" | sed -n 's/.*NodeAddr=\([^ ]*\).*/\1/p')
MASTER_PORT=$("$PYTHON" -c 'import socket; print(socket.create_server(("", 0)).getsockname()[1])')
case $MASTER_ADDR in 127.*) export GLOO_SOCKET_IFNAME=lo ;; esac
export MASTER_ADDR MASTER_PORT

echo "run $((${SLURM_RESTART_COUNT:-0} + 1)) of job $SLURM_JOB_ID"
srun --kill-on-bad-exit=0 --wait=30 "$PYTHON" train.py "$@"
status=$?
if [ $status -eq 75 ]; then # saved and not finished; what ended otherwise would only fail again
    exec scontrol requeue "$SLURM_JOB_ID"
fi
exit $status
