"""Registered models and their versions: who they are, what proves them, and what they improve on."""
