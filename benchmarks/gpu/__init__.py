"""All that a GPU must show, in eight minutes: whether it computes the same, how quick it is, what a run would take."""
