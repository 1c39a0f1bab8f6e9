#!/usr/bin/env bash
# What pays with few labels: F1 on French, Italian and English against annotated sentences of that language, for each of
# these ways, on several slices of the annotated sentences: a dictionary, a CRF, the encoder alone, a German tagger that
# goes on with them (warm start), German and they together (joined), that with augmentation, and with unlabelled text.
#   bash launch/few.sh FOLDER [FLAGS of train.py, such as --model NAME --data NAME --lr RATE]
# Variables: SIZES="fr=50 fr=100 fr=250 fr=1000 it=100 it=250 en=100 en=250"  SLICES="42 43 44"  SOURCE=de
#   METHODS="dictionary crf alone warm joined augmented teacher"  MIN_STEPS=300  NUM_PROCESSES=1
# Run again after an interruption it leaves alone what is finished, and goes on with what is not. The CRF needs the extra
# [baseline]. UNLABELLED="fr=news.txt it=web.jsonl en=..." names text; without it the teacher reads the training sentences
# that --sample leaves out, without their tags.
# Run on: 2 CPU cores.
set -euo pipefail
folder=$1
shift
here=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH}
sizes=${SIZES:-fr=50 fr=100 fr=250 fr=1000 it=100 it=250 en=100 en=250}
slices=${SLICES:-42 43 44}
methods=${METHODS:-dictionary crf alone warm joined augmented teacher}
source=${SOURCE:-de}
steps=${MIN_STEPS:-300}

. "$here/launch/forward.sh"

train() { # NAME FLAGS ...
    local name=$1
    shift
    [ -s "$folder/$name/metrics.json" ] && return 0
    run bash "$here/launch/spawn.sh" "${NUM_PROCESSES:-1}" python "$here/train.py" "$@" --output "$folder/$name" \
        --resume auto
    rm -rf "$folder/$name/checkpoints" # the run is finished
}
