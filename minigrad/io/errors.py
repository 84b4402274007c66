"""The one error that every reader raises for a file that is broken, hostile or of an unknown format."""

LONGEST_QUOTE = 100


class CheckpointError(ValueError):
    """A file cannot be read as a checkpoint; nothing in it was run.

    The message names the file, the place in it, what was expected there and what came.

    >>> import io, minigrad
    >>> try:
    ...     minigrad.load(io.BytesIO(b"GIF89a"))
    ... except minigrad.io.CheckpointError as error:
    ...     print(error)
    load: expected a checkpoint of torch.save or minigrad.save, or a safetensors file, got a file that begins with b'GIF89a'
    """


def printable(text: str) -> str:
    """The text, with escapes if anything in it is not for reading: a file must not steer the terminal."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def quoted(text: str) -> str:
    """A file's text as it may stand in an error message: its beginning, printable."""
    return printable(text[:LONGEST_QUOTE])
