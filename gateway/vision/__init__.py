"""The vision worker: capture, detect, track, judge, embed."""
