"""What the tool does with records: read them, change them, check them and write them out."""
