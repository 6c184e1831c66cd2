"""FluidSynth as a stream of float blocks, without devices, players or threads of its own.

FluidSynth computes 64 frames at a time, and an event takes effect at the next such step. Events
are therefore rounded to the nearest step (at most 0.73 ms away at 44.1 kHz) instead of slipping
to a later one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from perceiver_music.audio.fluidsynth_library import FluidSynthLibrary
from perceiver_music.audio.sound_events import CONTROL_CHANGE, NOTE_OFF, NOTE_ON, SoundEvents
from perceiver_music.audio.soundfonts import SoundFont
from perceiver_music.errors import InvalidInputError
from perceiver_music.music.performance import MICROSECONDS

StereoBlock = npt.NDArray[np.float32]
"""`[frames, 2]`, left and right."""

FLUIDSYNTH_STEP = 64
SEGMENTS_PER_SECOND = 10
"""Every block is a whole number of tenths of a second: the unit of tail and loudness."""
MUSIC_BLOCK_SEGMENTS = 10

SAFE_GAIN = 0.6
"""Loud enough to use the reverb's precision; float samples cannot clip here in any case."""

MAX_TAIL_SECONDS = 10
FADE_SECONDS = 1
"""A tail that is still sounding fades out over the last second of the longest tail."""
SILENCE_RATIO = 10 ** (-66 / 20)
SILENT_SEGMENTS_TO_STOP = 5
"""The tail is over when half a second stays 66 dB below the loudest moment."""

MAX_POLYPHONY = 512
REVERB_CONTROL = 91
REVERB_SEND = 64
"""Fonts leave this to the player. With it the room of FluidSynth's defaults lies about 14 dB
below the piano: heard, and not in the way."""

KEYS_PER_REGISTER = 16
NUM_REGISTERS = 128 // KEYS_PER_REGISTER
PAN_CONTROL = 10
PAN_CENTRE = 64
PAN_STEP = 12
"""The keyboard's registers are channels side by side, bass left and treble right as a pianist
hears them: the small SoundFont's samples are mono and would all sit in the middle."""


@dataclass(frozen=True, kw_only=True)
class SynthesisOptions:
    """How the piano sounds.

    Attributes:
        sample_rate: frames a second, a multiple of ten.
        reverb: whether it stands in a room.
    """

    sample_rate: int
    reverb: bool = True


def synthesize(
    sound: SoundEvents,
    *,
    library: FluidSynthLibrary,
    soundfont: SoundFont,
    options: SynthesisOptions,
) -> Iterator[StereoBlock]:
    """Play events and yield the sound, music and tail, as it comes.

    The same arguments give the same samples each time. The tail ends when the sound has died
    away, at the latest `MAX_TAIL_SECONDS` after the last key has risen.

    Raises:
        InvalidInputError: FluidSynth cannot load the SoundFont.
    """
    segment = options.sample_rate // SEGMENTS_PER_SECOND
    music_segments = -(-sound.end_us * SEGMENTS_PER_SECOND // MICROSECONDS)
    with _open_player(sound, library, soundfont, options) as player:
        loudest = 0.0
        for first in range(0, music_segments, MUSIC_BLOCK_SEGMENTS):
            num_segments = min(MUSIC_BLOCK_SEGMENTS, music_segments - first)
            block = player.play(num_segments * segment)
            loudest = max(loudest, float(np.abs(block).max()))
            yield block
        yield from _tail(player, loudest, segment)


def _tail(player: _Player, loudest: float, segment: int) -> Iterator[StereoBlock]:
    num_segments = MAX_TAIL_SECONDS * SEGMENTS_PER_SECOND
    num_fading = FADE_SECONDS * SEGMENTS_PER_SECOND
    fade = np.cos(np.linspace(0, np.pi / 2, num_fading * segment, dtype=np.float32)) ** 2
    fade = fade.reshape(num_fading, segment, 1)
    num_silent = 0
    for index in range(num_segments):
        block = player.play(segment)
        if index >= num_segments - num_fading:
            block *= fade[index - num_segments]
        peak = float(np.abs(block).max())
        loudest = max(loudest, peak)
        num_silent = num_silent + 1 if peak <= loudest * SILENCE_RATIO else 0
        if num_silent == SILENT_SEGMENTS_TO_STOP:
            yield block * np.linspace(1, 0, segment, dtype=np.float32)[:, None]
            return
        yield block


class _Player:
    """A synthesizer with the events that it still has to be sent."""

    def __init__(self, bindings: Any, synth: int, sound: SoundEvents, sample_rate: int) -> None:
        self._bindings = bindings
        self._synth = synth
        self._now = 0
        events = sound.events
        frames = (events["time_us"] * sample_rate + MICROSECONDS // 2) // MICROSECONDS
        frames = (frames + FLUIDSYNTH_STEP // 2) // FLUIDSYNTH_STEP * FLUIDSYNTH_STEP
        columns = (frames, events["kind"], events["number"], events["value"])
        self._events = zip(*(column.tolist() for column in columns), strict=True)
        self._next_event = next(self._events, None)

    def play(self, num_frames: int) -> StereoBlock:
        """The next so many frames, with all that happens in them."""
        block = np.zeros((num_frames, 2), dtype=np.float32)
        start, end = self._now, self._now + num_frames
        while self._next_event is not None and self._next_event[0] < end:
            frame, kind, number, value = self._next_event
            self._write(block[self._now - start : frame - start])
            self._now = frame
            self._send(kind, number, value)
            self._next_event = next(self._events, None)
        self._write(block[self._now - start :])
        self._now = end
        return block

    def _send(self, kind: int, number: int, value: int) -> None:
        if kind == NOTE_ON:
            channel = number // KEYS_PER_REGISTER
            self._bindings.fluid_synth_noteon(self._synth, channel, number, value)
        elif kind == NOTE_OFF:
            channel = number // KEYS_PER_REGISTER
            self._bindings.fluid_synth_noteoff(self._synth, channel, number)
        elif kind == CONTROL_CHANGE:
            for channel in range(NUM_REGISTERS):
                self._bindings.fluid_synth_cc(self._synth, channel, number, value)

    def _write(self, frames: StereoBlock) -> None:
        if len(frames):
            address = frames.ctypes.data
            self._bindings.fluid_synth_write_float(
                self._synth, len(frames), address, 0, 2, address, 1, 2
            )


@contextlib.contextmanager
def _open_player(
    sound: SoundEvents,
    library: FluidSynthLibrary,
    soundfont: SoundFont,
    options: SynthesisOptions,
) -> Iterator[_Player]:
    bindings: Any = library.bindings
    settings = bindings.new_fluid_settings()
    bindings.fluid_settings_setnum(settings, b"synth.gain", SAFE_GAIN)
    bindings.fluid_settings_setnum(settings, b"synth.sample-rate", float(options.sample_rate))
    bindings.fluid_settings_setint(settings, b"synth.polyphony", MAX_POLYPHONY)
    bindings.fluid_settings_setint(settings, b"synth.reverb.active", int(options.reverb))
    # A chorus detunes a piano.
    bindings.fluid_settings_setint(settings, b"synth.chorus.active", 0)
    # Big fonts load in a fifth of the time when only the samples of one preset are read.
    bindings.fluid_settings_setint(settings, b"synth.dynamic-sample-loading", 1)
    synth = bindings.new_fluid_synth(settings)
    try:
        _choose_piano(bindings, synth, soundfont)
        yield _Player(bindings, synth, sound, options.sample_rate)
    finally:
        bindings.delete_fluid_synth(synth)
        bindings.delete_fluid_settings(settings)


def _choose_piano(bindings: Any, synth: int, soundfont: SoundFont) -> None:
    # 0: no presets for all sixteen channels, which would load their samples.
    font_id = bindings.fluid_synth_sfload(synth, os.fsencode(soundfont.path), 0)
    bank, program = soundfont.piano
    for channel in range(NUM_REGISTERS):
        if font_id < 0 or bindings.fluid_synth_program_select(
            synth, channel, font_id, bank, program
        ):
            raise InvalidInputError(
                "FluidSynth cannot load the SoundFont",
                path=soundfont.path,
                hint="The file may be damaged; give another: `render --soundfont FILE.sf2`.",
            )
        offset = round((channel - (NUM_REGISTERS - 1) / 2) * PAN_STEP)
        bindings.fluid_synth_cc(synth, channel, PAN_CONTROL, PAN_CENTRE + offset)
        bindings.fluid_synth_cc(synth, channel, REVERB_CONTROL, REVERB_SEND)
