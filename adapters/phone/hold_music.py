"""Quiet notes for those who wait: total silence sounds like a dead line.

Made here from a handful of sine waves, so it belongs to nobody else and nothing has to be fetched from anywhere.
"""

import io
import math
import wave
from array import array
from functools import cache

__all__ = ["HOLD_MUSIC_S", "hold_music"]

HOLD_MUSIC_S = 10
"""Length of the recording."""

_RATE = 8_000
"""Samples per second of a telephone line."""
_LOUDNESS = 0.12
"""Well below a voice, so that the next announcement is a change to listen to."""
_NOTE_S = 1.25
_RING_S = 2.5
"""A note fades over this time, into the one after it."""
_NOTES_HZ = (261.63, 392.00, 329.63, 440.00, 392.00, 329.63, 293.66, 261.63)
"""C G E A G E D C: a fall that ends where it began."""


@cache
def hold_music() -> bytes:
    """A WAV file, 16 bit, mono, 8 kHz. The same bytes each time; takes about a quarter of a second once."""
    samples = [0.0] * (HOLD_MUSIC_S * _RATE)
    for number, frequency in enumerate(_NOTES_HZ):
        start = int(number * _NOTE_S * _RATE)
        for offset in range(min(int(_RING_S * _RATE), len(samples) - start)):
            seconds = offset / _RATE
            # Softly struck, then fading to nothing: no clicks at either end.
            swell = min(1.0, seconds / 0.08) * math.exp(-2.2 * seconds) * (1.0 - seconds / _RING_S)
            tone = math.sin(math.tau * frequency * seconds) + 0.3 * math.sin(2 * math.tau * frequency * seconds)
            samples[start + offset] += _LOUDNESS * swell * tone
    fade = _RATE // 2
    for offset in range(fade):
        samples[-1 - offset] *= offset / fade
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(_RATE)
        writer.writeframes(array("h", (int(32_767 * max(-1.0, min(1.0, sample))) for sample in samples)).tobytes())
    return file.getvalue()
