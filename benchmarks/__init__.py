"""Benchmarks: each measures ours against the textbook way in the same run, and checks that both give the same."""
