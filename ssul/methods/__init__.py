"""What each method of class-incremental segmentation minimises, one file a method."""
