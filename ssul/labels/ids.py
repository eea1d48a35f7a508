"""The two dataset ids that are not classes."""

VOID = 255
"""The dataset id of pixels that are in no loss and no score, whatever their value in the mask files."""
BACKGROUND_ID = 0
"""The dataset id of the background; the classes are 1 and up."""
