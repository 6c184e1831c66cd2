"""The synthesizer in a process of its own, with limits: a SoundFont cannot take us with it.

SoundFonts come from anywhere, and the libraries that read them have crashed on damaged ones. The
child gets the events by standard input, sends samples by standard output, and may use only so much
time, memory and disk. Whatever becomes of it, the parent goes on with a failure of ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from perceiver_music.audio.fluidsynth_engine import (
    MAX_TAIL_SECONDS,
    SEGMENTS_PER_SECOND,
    StereoBlock,
    SynthesisOptions,
    synthesize,
)
from perceiver_music.audio.fluidsynth_library import FluidSynthLibrary, load_fluidsynth
from perceiver_music.audio.sound_events import SOUND_EVENT_DTYPE, SoundEvents
from perceiver_music.audio.soundfonts import SoundFont
from perceiver_music.errors import InvalidInputError, PerceiverMusicError
from perceiver_music.files import reporting_storage_errors
from perceiver_music.music.performance import MICROSECONDS

CPU_SECONDS: Final = 60
"""Beside one for every second of music, which takes some hundredths of it."""
MEMORY_BYTES: Final = 3 << 30
"""Beside four times the SoundFont."""
LOG_BYTES: Final = 1 << 20

_BYTES_PER_FRAME: Final = 8
_FAILED: Final = 3
_MOST_SAID: Final = 4096


def synthesize_apart(
    sound: SoundEvents,
    *,
    library: FluidSynthLibrary,
    soundfont: SoundFont,
    options: SynthesisOptions,
) -> Iterator[StereoBlock]:
    """What `synthesize` yields, from a child process; blocks are whole tenths of seconds.

    Raises:
        InvalidInputError: FluidSynth cannot load the SoundFont, or breaks down over it.
        StorageError: the child cannot be started.
    """
    music_seconds = sound.end_us / MICROSECONDS
    order = {
        "source": library.source,
        "soundfont": os.fsdecode(soundfont.path.resolve()),
        "presets": soundfont.presets,
        "options": asdict(options),
        "end_us": sound.end_us,
        "cpu_seconds": CPU_SECONDS + int(music_seconds),
        "memory_bytes": MEMORY_BYTES + 4 * soundfont.path.stat().st_size,
    }
    most_bytes = int((music_seconds + 1 + MAX_TAIL_SECONDS) * options.sample_rate)
    most_bytes *= _BYTES_PER_FRAME
    block_bytes = options.sample_rate * _BYTES_PER_FRAME
    with reporting_storage_errors(soundfont.path), tempfile.TemporaryFile() as said:
        with _child(said) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            with contextlib.suppress(BrokenPipeError), child.stdin:
                child.stdin.write(json.dumps(order).encode() + b"\n" + sound.events.tobytes())
            num_bytes = 0
            while data := child.stdout.read(block_bytes):
                num_bytes += len(data)
                if num_bytes > most_bytes:
                    raise _broken_down(soundfont, "it does not come to an end")
                segment_bytes = block_bytes // SEGMENTS_PER_SECOND
                whole = data[: len(data) // segment_bytes * segment_bytes]
                if whole:
                    yield np.frombuffer(whole, dtype=np.float32).reshape(-1, 2).copy()
            code = child.wait()
        if code:
            raise _failure(code, said, soundfont)


@contextlib.contextmanager
def _child(said: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    package = Path(__file__).resolve().parents[2]
    paths = [os.fspath(package), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    # One thread: others would only reserve memory, of which there is a limit.
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        # -P: what lies in the working folder is no module of ours.
        [sys.executable, "-P", "-m", __name__],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
    ) as child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def _failure(code: int, said: IO[bytes], soundfont: SoundFont) -> PerceiverMusicError:
    """What the child said, or what became of it."""
    said.seek(0)
    words = said.read(LOG_BYTES).decode(errors="replace").strip().splitlines()
    if code == _FAILED and words:
        with contextlib.suppress(ValueError, TypeError):
            fields = json.loads(words[-1])
            return InvalidInputError(fields["message"], path=soundfont.path, hint=fields["hint"])
    if code < 0:
        with contextlib.suppress(ValueError):
            return _broken_down(soundfont, signal.Signals(-code).name)
    return _broken_down(soundfont, words[-1] if words else f"code {code}")


def _broken_down(soundfont: SoundFont, how: str) -> InvalidInputError:
    return InvalidInputError(
        f"FluidSynth breaks down over this SoundFont ({how[:_MOST_SAID]})",
        path=soundfont.path,
        hint="The file may be damaged; give another: `render --soundfont FILE.sf2`.",
    )


def main() -> None:
    """The child."""
    samples = os.dup(1)
    os.dup2(2, 1)  # whatever else speaks must not speak among the samples
    order = json.loads(sys.stdin.buffer.readline())
    events = np.frombuffer(sys.stdin.buffer.read(), dtype=SOUND_EVENT_DTYPE)
    _limit(order)
    path, presets = Path(order["soundfont"]), tuple(map(tuple, order["presets"]))
    try:
        for block in synthesize(
            SoundEvents(events=events, end_us=order["end_us"]),
            library=load_fluidsynth(order["source"]),
            soundfont=SoundFont(path=path, presets=presets),
            options=SynthesisOptions(**order["options"]),
        ):
            _write_all(samples, memoryview(block.tobytes()))
    except BrokenPipeError:
        os._exit(0)  # nobody listens any more
    except PerceiverMusicError as error:
        sys.stderr.write(json.dumps({"message": error.message, "hint": error.hint}) + "\n")
        sys.exit(_FAILED)


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _limit(order: dict[str, Any]) -> None:
    import resource  # POSIX only

    limits = {
        "RLIMIT_CPU": order["cpu_seconds"],
        "RLIMIT_AS": order["memory_bytes"],
        "RLIMIT_FSIZE": LOG_BYTES,
        "RLIMIT_CORE": 0,
    }
    for name, most in limits.items():
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):  # a system that does not know this one
            resource.setrlimit(number, (most, most))


if __name__ == "__main__":
    main()
