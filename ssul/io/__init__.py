"""SplitFiles and locks: whole or not at all, strict, one process at a time."""
