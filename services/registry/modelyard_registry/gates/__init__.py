"""Gates: automatic conditions that a move must pass, each with a verdict and the evidence for it."""
