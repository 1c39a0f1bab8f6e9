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
# with status 75, and the job is put into the queue again, as it is after a signal before the run could take it (USR1:
# 138, TERM: 143). So give it more time than these 180 seconds and a start: with less it would never come to a step.
# Submit from the repository. Options of sbatch come before the script:
#   sbatch --nodes=2 --gpus-per-node=8 launch/slurm.sh [FLAGS of train.py]
# On each machine: a process for each of its GPUs, or NUM_PROCESSES. On CPUs:
#   NUM_PROCESSES=1 ACCELERATE_USE_CPU=true sbatch --gpus-per-node=0 --cpus-per-task=8 launch/slurm.sh [FLAGS]
# Run on: SLURM 22.05 with two machines that were network namespaces of one, on CPUs (tests/stress/slurm.py). No GPU.
export NUM_NODES=$SLURM_NNODES MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -1)
export MASTER_ADDR NUM_PROCESSES=${NUM_PROCESSES:-${SLURM_GPUS_ON_NODE:-gpus}}
# From SLURM 22.05 on, srun no longer takes --cpus-per-task from sbatch, and a task may be bound to a single core.
if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"; fi
srun bash -c 'NODE_RANK=$SLURM_NODEID exec bash launch/spawn.sh "$NUM_PROCESSES" python train.py --resume auto "$@"' task "$@"
status=$?
if ((status == 75 || status == 138 || status == 143)); then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$status"
