#!/bin/bash
# Meant: thirty minutes; the longest run so far took twenty-two.
# Seen:  "Requested time limit is invalid", or a wait of days behind shorter jobs.
#SBATCH --job-name=thirty-minutes
#SBATCH --output=%x-%j.out
#SBATCH --ntasks=1
#SBATCH --time=30:00:00

set -euo pipefail
echo "trained" > model.txt
