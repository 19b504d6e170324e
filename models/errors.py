"""What stops a training and can be mended by whoever started it."""


class TrainingError(ValueError):
    """Training cannot begin or go on; the message is one line with what to do."""
