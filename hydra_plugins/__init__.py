"""Found by DVC's Hydra integration when it composes conf/ into params.yaml."""
