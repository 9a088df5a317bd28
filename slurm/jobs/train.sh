#!/bin/bash
# Trains with one process a task, started by srun; submitted again, it goes on from its checkpoint:
#     sbatch train.sh --steps 400
#     sbatch --ntasks=4 --gpus-per-task=1 train.sh
# The signal before the time limit may come a minute early. Without `B:` the tasks hear it: they save.
#SBATCH --job-name=train
#SBATCH --output=%x-%j.out
#SBATCH --ntasks=2
#SBATCH --cpus-per-task=1
#SBATCH --time=00:30:00
#SBATCH --signal=USR1@60

PYTHON=${PYTHON:-python}
export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK

# Ranks meet at rank 0, on this node. Its port is often made of the job's number, but every Slurm of
# one's own counts from 1, and they share this machine: a free one is asked for.
MASTER_ADDR=$(scontrol show node "$SLURMD_NODENAME" | sed -n 's/.*NodeAddr=\([^ ]*\).*/\1/p')
MASTER_PORT=$("$PYTHON" -c 'import socket; print(socket.create_server(("", 0)).getsockname()[1])')
case $MASTER_ADDR in 127.*) export GLOO_SOCKET_IFNAME=lo ;; esac # all nodes are this machine
export MASTER_ADDR MASTER_PORT

# A task that ends badly must not end the others at once, or none could save: they get 30 s.
srun --kill-on-bad-exit=0 --wait=30 "$PYTHON" train.py "$@"
