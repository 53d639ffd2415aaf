"""The small task classifier: labelled prompts, and the training of a linear model on them."""
