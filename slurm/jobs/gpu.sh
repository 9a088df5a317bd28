#!/bin/bash
# What a job sees of the GPUs it asked for. On hpclab's own Slurm they are pretend: counted and
# handed out, but no device is behind them, so they are named HPCLAB_PRETEND_GPUS and never
# CUDA_VISIBLE_DEVICES.
#SBATCH --job-name=gpu
#SBATCH --output=%x-%j.out
#SBATCH --ntasks=1
#SBATCH --gres=gpu:1
#SBATCH --time=00:02:00

echo "on $SLURMD_NODENAME:"
for name in HPCLAB_PRETEND_GPUS CUDA_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES; do
    echo "  $name=${!name-(not set)}"
done
