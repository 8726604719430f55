"""The audit log: one entry per change or refusal, written with it, and how to search them."""
