#!/bin/bash
# Meant: two GPUs in all, one on each of two nodes, one task beside each. Nodes here have one.
# Seen:  "Requested node configuration is not available".
#SBATCH --job-name=two-gpus
#SBATCH --output=%x-%j.out
#SBATCH --time=00:05:00
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gres=gpu:2

set -euo pipefail
rm -f gpu-*.txt
srun bash -c '
    gpus=${HPCLAB_PRETEND_GPUS:-${CUDA_VISIBLE_DEVICES:-${ROCR_VISIBLE_DEVICES:-none}}}
    echo "task $SLURM_PROCID on $SLURMD_NODENAME has GPU $gpus" > gpu-$SLURM_PROCID.txt'
