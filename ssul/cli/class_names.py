"""Names of classes as `--classes` takes them."""

from pathlib import Path

from ssul.errors import UserError


def listed_names(classes: str) -> list[str]:
    """The names between commas, or the lines of a file; without the blanks around them, empty ones included.

    Raises:
        UserError: if the file cannot be read.
    """
    path = Path(classes)
    try:
        words = path.read_text(encoding="utf-8-sig").splitlines() if path.is_file() else classes.split(",")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--classes names the file {classes}, which cannot be read ({type(error).__name__})") from None
    return [word.strip() for word in words]
