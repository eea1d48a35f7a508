"""Which classes and which images belong to which step."""
