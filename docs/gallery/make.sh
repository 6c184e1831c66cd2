#!/bin/sh
# Everything in this folder, by the bundled checkpoint: run it where `perceiver-music` is on the PATH.
set -eu
cd "$(dirname "$0")"
moonlight=../../data/primers/beethoven_moonlight.mid
satie=../../data/primers/satie_gymnopedie_1.mid

cp "$moonlight" primer.mid
perceiver-music continue primer.mid --to 10 --length 20s --seed 1 --force -o continued_1.mid
perceiver-music continue primer.mid --to 10 --length 20s --seed 5 --force -o continued_2.mid
perceiver-music continue primer.mid --to 10 --length 20s --seed 7 --force -o continued_3.mid
perceiver-music continue primer.mid --to 10 --length 20s --seed 8 --force -o continued_4.mid
perceiver-music infill "$satie" --between 10 18 --seed 3 --force -o infilled.mid
perceiver-music compose --length 40s --ending --seed 4 --force -o composed.mid

perceiver-music render ./*.mid --force -o '{stem}.ogg'
perceiver-music view ./*.mid --force -o '{stem}.svg'
perceiver-music view ./*.mid --force -o '{stem}.html'
