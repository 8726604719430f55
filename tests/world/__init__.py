"""What the end-to-end and the fault tests share: a whole system, its clients, and what must hold of it.

`checks` is pure: it judges what was published and answered. Everything else drives real processes.
"""
