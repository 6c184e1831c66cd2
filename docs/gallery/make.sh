#!/bin/sh
# Everything in this folder, by the bundled checkpoint: run it where `perceiver-music` is on the PATH.
# The seeds were chosen among the first eight of each by eye and by ear; README.md says so.
set -eu
cd "$(dirname "$0")"
PRIMERS=../../data/primers

perceiver-music continue $PRIMERS/beethoven_moonlight.mid --to 10 --length 20s --seed 1 --force -o moonlight_1.mid
perceiver-music continue $PRIMERS/beethoven_moonlight.mid --to 10 --length 20s --seed 2 --force -o moonlight_2.mid
perceiver-music continue $PRIMERS/beethoven_moonlight.mid --to 10 --length 20s --seed 3 --force -o moonlight_3.mid
perceiver-music continue $PRIMERS/beethoven_moonlight.mid --to 10 --length 20s --seed 4 --force -o moonlight_4.mid
perceiver-music infill $PRIMERS/satie_gymnopedie_1.mid --between 10 18 --seed 5 --force -o infilled.mid
perceiver-music compose --length 40s --ending --seed 2 --force -o composed.mid

perceiver-music render *.mid --force -o '{stem}.ogg'
perceiver-music view *.mid --force -o '{stem}.svg'
perceiver-music view *.mid --force -o '{stem}.html'
