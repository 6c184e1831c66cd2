"""Music while it is made: MIDI ports, playing in time, and the duet."""
