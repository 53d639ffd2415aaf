"""Models: which file a name means, what it is good for, and the sha256 that results carry."""
