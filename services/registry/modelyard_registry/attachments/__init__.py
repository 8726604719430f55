"""Further artifacts of a model version, each under a name: a tokenizer, a report, a signature."""
