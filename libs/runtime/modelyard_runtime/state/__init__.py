"""State documents that the registry signs: their keys, their proof, and the picture that a service keeps of a topic."""
