"""Policies: what a project, or one of its registered models, demands of the moves of its versions."""
