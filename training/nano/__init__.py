"""The small default model: a rule teacher, a tokenizer, and one command that trains it from nothing."""
