#!/usr/bin/env bash
# The start of every program in a container (ENTRYPOINT of the Dockerfile):
#   bash launch/container.sh PROGRAM [ARGUMENT ...]
# A program takes the place of this script, and with it the signal of `docker stop`. But `accelerate launch` passes no
# signal on: with one process it ends at once, and the container with it, before train.py has written its checkpoint. So
# it stays behind this script, which hands TERM, HUP, INT (both as TERM) and USR1 to what it started, and waits. Its
# status is that of `accelerate launch`, which makes 1 of 75.
# Run on: 2 CPU cores, as process 2 of a container of podman (tini is process 1).
set -u
if (($# == 0)); then
    echo "container.sh: no program: bash launch/container.sh PROGRAM [ARGUMENT ...]" >&2
    exit 2
fi
if [ "$1 ${2-}" != "accelerate launch" ]; then exec "$@"; fi

asked=
launcher=
told=" "
for name in TERM HUP INT USR1; do
    # At once: it may come just before `wait`, which would not return for it.
    # shellcheck disable=SC2064  # the signal's name now
    trap "asked=${name/#[IH]*/TERM}; if [ \"\$launcher\" ]; then tell; fi" "$name"
done
tell() { # each process of the launcher, once; the launcher itself if it has started none
    local child children
    children=$(cat "/proc/$launcher/task/"*/children 2>/dev/null)
    # Later it waits for those it had, and says how they ended.
    if [ "$told" = " " ]; then children=${children:-$launcher}; fi
    for child in $children; do
        if [[ $told != *" $child "* ]]; then
            told+="$child " # before: a signal may come between
            kill -s "$asked" "$child" 2>/dev/null
        fi
    done
}
"$@" &
launcher=$!
while kill -0 "$launcher" 2>/dev/null; do
    if [ "$asked" ]; then
        tell
        sleep 0.2 # it may be about to start one
    else
        wait "$launcher" # until it ends, or a signal comes
    fi
done
wait "$launcher"
