"""Pictures on disk and how they reach a network; knows no networks."""
