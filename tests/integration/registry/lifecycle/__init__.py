"""The lifecycle as a state machine: commands, what they must lead to, and what is there to be seen afterwards."""
