"""The two dataset ids that are not classes.

A dataset id names a class everywhere but in the mask files: it is the class's place in the dataset's list of classes,
from 1. The files may hold other values, which `ssul.data.layout.MaskEncoding` turns into ids; and a scenario's order,
which lists ids, decides when each is learned.
"""

VOID = 255
"""The dataset id of pixels that are in no loss and no score, whatever their value in the mask files."""
BACKGROUND_ID = 0
"""The dataset id of the background; the classes are 1 and up."""
BACKGROUND_NAME, VOID_NAME = "background", "void"
"""Their names, which no class may have where names say what a pixel is."""
