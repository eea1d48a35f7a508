"""What mask values, dataset ids and network channels mean."""
