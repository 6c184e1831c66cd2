#!/bin/sh
# The bundled weights made again, teachers and all: some 20 minutes of one NVIDIA H100.
#
#   sh checkpoints/repeat.sh STORE [options of `perceiver-music train` for all three runs]
#
# The runs go to runs/ in the working folder, where the recipe `maestro-distil` looks for its teachers.
# Called again, it goes on where it was stopped. The weights are those of runs/maestro-distil/checkpoint.
set -eu
if [ $# -eq 0 ]; then
    echo "usage: sh repeat.sh STORE [options of perceiver-music train]" >&2
    exit 2
fi
store=$1
shift

# Whether the last report of a run is that of its last step, which comes after its checkpoint.
is_finished() {
    [ -e "runs/$1/run.json" ] && [ -e "runs/$1/metrics.jsonl" ] || return
    wanted=$(sed -n 's/.*"max_steps": \([0-9]*\).*/\1/p' "runs/$1/run.json")
    done=$(sed -n '$s/.*"step": \([0-9]*\).*/\1/p' "runs/$1/metrics.jsonl")
    [ -n "$done" ] && [ "$done" = "$wanted" ]
}

# run NAME "ITS OWN OPTIONS" [options for all]
run() {
    name=$1
    own=$2
    shift 2
    if is_finished "$name"; then
        return
    elif [ -e "runs/$name/run.json" ]; then
        own=--resume
    fi
    # shellcheck disable=SC2086  # these are several words
    perceiver-music train --data "$store" --output "runs/$name" $own "$@"
    if ! is_finished "$name"; then
        echo "runs/$name has stopped before its last step; call this again to go on" >&2
        exit 1
    fi
}

run maestro-gpu-1 "--recipe maestro-gpu" "$@"
run maestro-gpu-2 "--recipe maestro-gpu --set run.seed=2" "$@"
run maestro-distil "--recipe maestro-distil --init runs/maestro-gpu-1" "$@"
