#!/bin/bash
# Trains on several nodes with a torchrun on each. It starts the node's processes and, when one dies,
# all of them again from the newest checkpoint, three times at most:
#     sbatch train_torchrun.sh --steps 400
#     sbatch --nodes=4 --gpus-per-node=8 --cpus-per-task=64 train_torchrun.sh
#SBATCH --job-name=train-torchrun
#SBATCH --output=%x-%j.out
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=1
#SBATCH --time=00:30:00
#SBATCH --signal=USR1@60

PYTHON=${PYTHON:-python}
processes=${SLURM_GPUS_ON_NODE:-1} # of a node
threads=$((SLURM_CPUS_PER_TASK / processes))
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK OMP_NUM_THREADS=$((threads > 0 ? threads : 1))

# NCCL finds the networks itself. Where it takes the wrong ones:
# export NCCL_DEBUG=INFO            # says which it took: "NET/IB" is good, "NET/Socket" slow
# export NCCL_SOCKET_IFNAME=ib0     # on which ranks find each other; gloo: GLOO_SOCKET_IFNAME
# export NCCL_IB_HCA=mlx5_0,mlx5_1  # InfiniBand adapters for the data, as `ibstat` lists them

# The torchruns meet at the first node. Whoever reaches that port is trusted: the network must be the
# site's own. Where all nodes are this machine they meet in a file instead, and nothing listens.
address=$(scontrol show node "$SLURMD_NODENAME" | sed -n 's/.*NodeAddr=\([^ ]*\).*/\1/p')
place=(--rdzv-endpoint="$address:$((20000 + SLURM_JOB_ID % 10000))")
if [[ $address == 127.* ]]; then
    export GLOO_SOCKET_IFNAME=lo
    meeting=$(mktemp -d) && trap 'rm -rf "$meeting"' EXIT
    place=(--rdzv-endpoint="$meeting/store" --rdzv-conf=store_type=file --local-addr="$address")
fi

# A signal reaches the ranks through torchrun, which gives them 30 s to save.
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 # else a restart may meet what the last start left
srun --kill-on-bad-exit=0 --wait=30 "$PYTHON" -m torch.distributed.run \
    --nnodes="$SLURM_NNODES" --nproc-per-node="$processes" --max-restarts=3 \
    --rdzv-backend=c10d --rdzv-id="$SLURM_JOB_ID" "${place[@]}" \
    --signals-to-handle=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1 train.py "$@"
