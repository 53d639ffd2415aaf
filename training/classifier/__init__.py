"""The small task classifier: prompts labelled by hand, and the training of a linear model on them."""
