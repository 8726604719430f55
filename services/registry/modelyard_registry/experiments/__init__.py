"""Experiments: a control that is pinned, a treatment beside it, and how they are started and stopped."""
