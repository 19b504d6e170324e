"""What a user can mend: errors that are shown as one line, never as a traceback."""


class InputError(ValueError):
    """The user's input cannot be used. The message says what is wrong, where, and what to do, in one line."""
