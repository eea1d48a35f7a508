"""What mask values, data set ids and network channels mean."""
