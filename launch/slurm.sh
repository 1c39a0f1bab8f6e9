#!/usr/bin/env bash
#SBATCH --job-name=ner
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=USR1@180
# A job that goes on by itself when it is preempted or its time is up: sbatch launch/slurm.sh [FLAGS of train.py]
# SLURM sends USR1 to each task 180 seconds before the end (and TERM on preemption); the run writes a checkpoint and ends
# with status 75, and the job is put into the queue again. Submit from the repository.
# Not run yet: the authors had no SLURM. The status and both signals are tested with spawn.sh.
export NUM_NODES=$SLURM_NNODES MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -1)
export MASTER_ADDR NUM_GPUS=${SLURM_GPUS_ON_NODE:-0}
srun bash -c 'NODE_RANK=$SLURM_NODEID exec bash launch/spawn.sh "$NUM_GPUS" python train.py --resume auto "$@"' task "$@"
status=$?
if ((status == 75)); then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$status"
