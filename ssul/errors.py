"""The exception for invalid user input; shown as one line, without a traceback."""


class UserError(ValueError):
    """Names the thing that is wrong, the valid values and the way out; shown without a traceback."""
