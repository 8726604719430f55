"""Transition requests: moves that wait until enough people have agreed to exactly what they saw."""
