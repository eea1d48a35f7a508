"""Running a stage: locks, progress, provenance, one-line errors."""
