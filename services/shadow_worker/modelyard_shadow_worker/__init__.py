"""Replays served requests on the shadow's version, compares the two answers, and publishes the result."""
