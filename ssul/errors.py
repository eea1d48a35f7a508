"""What is told to a user, in one line, when something that they gave cannot be used."""


class UserError(ValueError):
    """Names the thing that is wrong, the valid values and the way out; shown without a traceback."""
