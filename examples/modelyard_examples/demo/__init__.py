"""The main job on real input, told as a story: each act does something, measures it and proves a claim."""
