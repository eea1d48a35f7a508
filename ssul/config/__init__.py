"""Parameters, paths and names of a run."""
