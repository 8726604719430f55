"""Other registries' HTTP APIs over the same handlers: their paths, their words, our rules."""
