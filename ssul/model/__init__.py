"""IncrementalDeepLab and its checkpoints."""
