#!/bin/bash
# Meant: a log of its own for every run, that whoever looks for it finds.
# Seen:  the job fails within a second, and there is no log to say why.
#SBATCH --job-name=lost-log
#SBATCH --output=logs/%x-%j.out
#SBATCH --ntasks=1
#SBATCH --time=00:05:00

set -euo pipefail
mkdir -p logs
echo "the loss after 100 steps is 2.7"
