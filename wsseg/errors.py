"""Errors that users can act on."""


class InputError(ValueError):
    """Input that breaks a rule, and what the user can do about it.

    The message is ``<subject> must be <rule>, got <got>; <remedy>``. If that does not read
    naturally, pass one whole sentence and a ``hint``.

    Args:
        subject: The file or argument at fault, or a whole sentence.
        rule: Continuation of "must be".
        got: The actual value.
        remedy: The correction, in the imperative.
        hint: The remedy that follows a whole sentence.

    Example:
        >>> print(InputError("rounds.count", "at least 1", 0, "set rounds.count=3"))
        rounds.count must be at least 1, got 0; set rounds.count=3
        >>> print(InputError("data.yaml has no class names", hint="add a list `names`"))
        data.yaml has no class names; add a list `names`
    """

    def __init__(
        self, subject: object, rule: str = "", got: object = "", remedy: str = "", *, hint: str = ""
    ) -> None:
        remedy = remedy or hint
        super().__init__(subject, rule, got, remedy)
        self.subject, self.rule, self.got, self.remedy = str(subject), rule, str(got), remedy

    def __str__(self) -> str:
        """The message in one line, whatever file names and values it quotes."""
        broken = f" must be {self.rule}, got {self.got}" if self.rule else ""
        return printable(f"{self.subject}{broken}; {self.remedy}")


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
    """A file that the run wrote itself and that has been damaged since.

    No image is to blame for it, so the run stops instead of skipping an image.
    """


class MachineError(InputError):
    """A fault of the machine or the installation, such as too little memory of the GPU.

    No image is to blame for it, so the run stops instead of skipping an image.
    """


class DivergenceError(RuntimeError):
    """Training stopped because the loss is NaN or infinite."""
