"""One folder for each method; each holds increment.py."""
