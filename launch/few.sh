#!/usr/bin/env bash
# What pays with few labels: F1 on French, Italian and English against annotated sentences of that language, for each of
# these methods, on several slices of the annotated sentences, as one picture (curve.png) and one table (curve.md).
#   dictionary, crf: `ner baseline`
#   alone: the encoder, with enough steps
#   warm: a German tagger goes on with them
#   joined: it goes on with them and all German sentences, languages drawn less unequally
#   augmented: joined, with changed copies in both stages
#   teacher: augmented, and unlabelled text with the tags of that run
#   [VARIABLES] bash launch/few.sh FOLDER [FLAGS of train.py, such as --model NAME --lr RATE]
# What makes a method comes after the flags. Variables, and what they are without:
#   SIZES="fr=50 fr=100 fr=250 fr=1000 it=100 it=250 en=100 en=250"   SLICES="42 43 44"   SOURCE=de
#   METHODS="dictionary crf alone warm joined augmented teacher"   DATA=google/xtreme (of the baselines, too)
#   STEPS=300   TEMPERATURE=3   AUGMENT=asides=0.5   NUM_PROCESSES=1   UNLABELLED="fr=news.txt it=web.jsonl"
# A curve takes at least two sizes of a language. A language that UNLABELLED does not name takes the training
# sentences that --sample leaves out, without their tags.
# Run again after an interruption it leaves alone what is finished, and goes on with what is not. A finished run keeps
# best/, and neither last/ nor checkpoints. The CRF needs the extra [baseline].
# Run on: 2 CPU cores, with me5-small on PAN-X.
set -euo pipefail
folder=$1
shift
here=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH}
data=${DATA:-google/xtreme}
source=${SOURCE:-de}
sizes=${SIZES:-fr=50 fr=100 fr=250 fr=1000 it=100 it=250 en=100 en=250}
slices=${SLICES:-42 43 44}
methods=${METHODS:-dictionary crf alone warm joined augmented teacher}
known="dictionary crf alone warm joined augmented teacher"
for method in $methods; do
    if [[ " $known " != *" $method "* ]]; then
        echo "few.sh: METHODS: there is no $method; give some of $known" >&2
        exit 2
    fi
done
flags=(--data "$data" --max-validation-sentences train "$@")
steps=${STEPS:-300}
read -ra changes <<<"${AUGMENT:-asides=0.5}"
runs=()

. "$here/launch/forward.sh"

train() { # NAME FLAGS ...
    local name=$1
    shift
    if [[ " ${runs[*]-} " != *" $folder/$name "* ]]; then runs+=("$folder/$name"); fi # the teacher asks for it, too
    [ -s "$folder/$name/metrics.json" ] && return 0
    run bash "$here/launch/spawn.sh" "${NUM_PROCESSES:-1}" python "$here/train.py" "${flags[@]}" "$@" \
        --output "$folder/$name" --resume auto
    rm -rf "$folder/$name"/{checkpoints,last} # the run is finished
}

baseline() { # NAME FLAGS ...
    local name=$1
    shift
    runs+=("$folder/$name")
    [ -s "$folder/$name/metrics.json" ] && return 0
    run python -m ner baseline --data "$data" "$@" --output "$folder/$name" --overwrite
}

label() { # METHOD LANGUAGE SIZE SLICE: trains with these annotated sentences
    local method=$1 language=$2 size=$3 slice=$4 name=$2-$3-$4
    local seeds=(--seed "$slice" --slice-seed "$slice")
    local alone=(--train-on "$language" --max-train-sentences "$size" "${seeds[@]}")
    local joined=(--train-on "$source" "$language" --max-train-sentences "$language=$size" "${seeds[@]}"
        --sampling-temperature "${TEMPERATURE:-3}" --max-steps "$steps")
    local plain=(--model "$folder/$source-$slice/best") augmented=(--model "$folder/$source-augmented-$slice/best")
    local text=() item
    augmented+=(--augment "${changes[@]}")
    case $method in
        dictionary | crf) baseline "$method-$name" "${alone[@]}" --method "$method" ;;
        alone) train "alone-$name" "${alone[@]}" --min-steps "$steps" ;;
        warm) train "warm-$name" "${alone[@]}" --min-steps "$steps" "${plain[@]}" ;;
        joined) train "joined-$name" "${joined[@]}" "${plain[@]}" ;;
        augmented) train "augmented-$name" "${joined[@]}" "${augmented[@]}" ;;
        teacher)
            label augmented "$language" "$size" "$slice" # unless it is finished
            for item in ${UNLABELLED:-}; do if [ "${item%%=*}" = "$language" ]; then text+=("$item"); fi; done
            if ((${#text[@]} == 0)); then text=("$language"); fi
            train "teacher-$name" "${joined[@]}" "${augmented[@]}" --unlabelled "${text[@]}" \
                --teacher "$folder/augmented-$name/best"
            ;;
    esac
}

for slice in $slices; do
    zero_shot=(--train-on "$source" --seed "$slice" --slice-seed "$slice")
    train "$source-$slice" "${zero_shot[@]}"
    train "$source-augmented-$slice" "${zero_shot[@]}" --augment "${changes[@]}"
done
for slice in $slices; do
    for size in $sizes; do
        for method in $methods; do label "$method" "${size%%=*}" "${size#*=}" "$slice"; done
    done
done
languages=()
for size in $sizes; do
    if [[ " ${languages[*]-} " != *" ${size%%=*} "* ]]; then languages+=("${size%%=*}"); fi
done
run python "$here/evaluate.py" "${runs[@]}" --languages "${languages[@]}" --output "$folder/report"
echo "$folder: $((SECONDS / 60)) min $((SECONDS % 60)) s in all" >&2
