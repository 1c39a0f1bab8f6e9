#!/usr/bin/env bash
# Likely label errors among the training sentences: FOLDS runs, each of which leaves a part of them out and is tested on
# it, since a tagger that has learned an error does not see it. Ends with FOLDER/review.jsonl, the TOP likeliest errors;
# corrected, train.py takes it as --corrections.
#   [FOLDS=5] [TOP=100] bash launch/folds.sh FOLDER [FLAGS of train.py, such as --train-on de fr --model NAME --lr RATE]
# Run again after an interruption it leaves alone what is finished, and goes on with what is not. A review.jsonl that is
# there is not replaced. NUM_PROCESSES=2 trains with that many (GPUs, or with ACCELERATE_USE_CPU=true CPU processes).
# Run on: 2 CPU cores, with the embedded encoder.
set -euo pipefail
folder=$1
shift
here=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH}
folds=${FOLDS:-5}
runs=()

. "$here/launch/forward.sh"

for ((number = 1; number <= folds; number++)); do
    name=$folder/fold-$number-of-$folds
    runs+=("$name")
    [ -s "$name/metrics.json" ] && continue
    run bash "$here/launch/spawn.sh" "${NUM_PROCESSES:-1}" python "$here/train.py" "$@" --fold "$number/$folds" \
        --output "$name" --resume auto
    rm -rf "$name"/{checkpoints,last} # the run is finished
done
losses=$folder/report/token_losses.parquet
[ -s "$losses" ] || run python "$here/evaluate.py" "${runs[@]}" --splits fold --token-losses --output "$folder/report"
if [ -e "$folder/review.jsonl" ]; then
    echo "$folder/review.jsonl is there and stays as it is" >&2
else
    run python -m ner label-errors "$losses" --top "${TOP:-100}" --output "$folder/review.jsonl"
fi
