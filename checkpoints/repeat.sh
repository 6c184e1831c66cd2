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

run() {
    name=$1
    shift
    if [ -e "runs/$name/finished" ]; then
        return
    elif [ -e "runs/$name/run.json" ]; then
        perceiver-music train --data "$store" --output "runs/$name" --resume
    else
        perceiver-music train --data "$store" --output "runs/$name" "$@"
    fi
    : > "runs/$name/finished"
}

run maestro-gpu-1 --recipe maestro-gpu "$@"
run maestro-gpu-2 --recipe maestro-gpu --set run.seed=2 "$@"
run maestro-distil --recipe maestro-distil --init runs/maestro-gpu-1 "$@"
