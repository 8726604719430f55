"""Replays served requests on the shadow's version and says how the two answers compare."""
