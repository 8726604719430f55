"""The guarded lifecycle: stages, the champion, rollback and quarantine."""
