"""Who may do what: API tokens, role grants, and the permission that each operation declares."""
