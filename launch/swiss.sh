#!/usr/bin/env bash
# The whole published experiment: each language, de+fr, all, the French curve of 250 to 4,000 sentences, the evaluation.
#   bash launch/swiss.sh FOLDER [FLAGS of train.py, such as --model NAME --data NAME --lr RATE]
# Run again after an interruption it leaves alone what is finished, and goes on with what is not. NUM_PROCESSES=2 trains
# with that many (GPUs, or with ACCELERATE_USE_CPU=true CPU processes).
# Run on: 2 CPU cores, with the embedded encoder.
set -euo pipefail
folder=$1
shift
here=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH}

. "$here/launch/forward.sh"

train() { # NAME FLAGS ...
    local name=$1
    shift
    [ -s "$folder/$name/metrics.json" ] && return 0
    run bash "$here/launch/spawn.sh" "${NUM_PROCESSES:-1}" python "$here/train.py" "$@" --output "$folder/$name" \
        --resume auto
    rm -rf "$folder/$name/checkpoints" # the run is finished
}

for language in de fr it en; do train "$language" "$@" --train-on "$language"; done
train de+fr "$@" --train-on de fr
train all "$@" --train-on de fr it en
for size in 250 500 1000 2000 4000; do train "fr-$size" "$@" --train-on fr --max-train-sentences "$size"; done
run python "$here/evaluate.py" "$folder"/{de,fr,it,en,de+fr,all,fr-250,fr-500,fr-1000,fr-2000,fr-4000} \
    --languages de fr it en --output "$folder/report"
echo "$folder: $((SECONDS / 60)) min $((SECONDS % 60)) s in all" >&2
