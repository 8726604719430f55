"""Checks of versions: what services found when they tested or scanned one, for the gates that ask for it."""
