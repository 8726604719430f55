"""The steps of a prediction. Each takes values and returns one; `predictor` puts them in order."""
