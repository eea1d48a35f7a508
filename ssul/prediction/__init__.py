"""A checkpoint at work: predictions of users' images, and export to one program. No result of the pipeline needs it."""
