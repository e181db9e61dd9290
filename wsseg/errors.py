"""Errors that a user can act on."""


class InputError(ValueError):
    """A file or an argument that breaks a rule, and what to do about it.

    Args:
        subject: The file or argument at fault.
        rule: What it must be.
        got: What it is instead.
        remedy: What the user can do.

    Example:
        >>> print(InputError("rounds.count", "at least 1", 0, "set rounds.count=3"))
        rounds.count must be at least 1, got 0; set rounds.count=3
    """

    def __init__(self, subject: object, rule: str, got: object, remedy: str) -> None:
        super().__init__(subject, rule, got, remedy)
        self.subject, self.rule, self.got, self.remedy = str(subject), rule, str(got), remedy

    def __str__(self) -> str:
        """One line, whatever file names and values it quotes."""
        return printable(f"{self.subject} must be {self.rule}, got {self.got}; {self.remedy}")


def printable(text: str) -> str:
    r"""Return text as one line that any terminal can show.

    Args:
        text: May quote what somebody else wrote: line breaks, control characters, broken UTF-8.

    Returns:
        The text, such characters as they are written in Python.

    Example:
        >>> printable("cow\x1b[31m.png")
        'cow\\x1b[31m.png'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


class DamagedError(InputError):
    """A file that the run itself made and that something has damaged since.

    No image is to blame for it: the run stops, so that nothing is made without it.
    """


class DivergenceError(RuntimeError):
    """A training whose loss is no longer a number."""
