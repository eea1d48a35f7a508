"""The drawn dataset."""
