"""The lines of image lists as people have them: ids, file names, paths, or an image's and its mask's path.

A line is an image id, unless it fits one of the split's templates or ends like it:

| line | is |
|---|---|
| `town/a` | the id itself |
| `a.jpg`, `a.png` | a file name, where the template of the image or mask ends like it |
| `JPEGImages/a.jpg`, `/x/y/JPEGImages/a.jpg` | a path that ends as a template says |
| `JPEGImages/a.jpg SegmentationClass/a.png` | both paths, with blanks, a tab, a comma or a semicolon between |
| `# …` | a comment |
"""

import re
from collections.abc import Iterator, Sequence

_BETWEEN = re.compile(r"\s*[,;\t]\s*|\s+")


def listed_ids(lines: Sequence[str], image: str, mask: str) -> Iterator[str]:
    """The image ids of the lines; blank lines and comments are left out.

    Args:
        lines: of an image list.
        image, mask: the templates of the split's files, with `{id}`.

    Raises:
        ValueError: if a line names two places that are not one image's; the message is one line.
    """
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        pairs = [(line[: cut.start()], line[cut.end() :]) for cut in _BETWEEN.finditer(line)]
        columns = [(_place(left, image, mask), _place(right, image, mask)) for left, right in pairs]
        both = next(((left, right) for left, right in columns if left and right), None)
        if both and both[0] != both[1]:
            raise ValueError(
                f"line {number} names {both[0]} and {both[1]}, which are not one image: its files lie at {image} and "
                f"{mask}"
            )
        yield both[0] if both and both[0] else _place(line, image, mask) or line


def _place(text: str, image: str, mask: str) -> str | None:
    """The id in a path or file name; None if the text is neither."""
    for template in (image, mask):
        before, after = map(re.escape, template.split("{id}"))
        if "/" in before and (found := re.fullmatch(f"(?:.*?/)??{before}(.+){after}", text)):
            return found[1]
    for template in (image, mask):
        after = template.split("{id}")[1]
        if after and text.endswith(after) and len(text) > len(after):
            return text.removesuffix(after).removeprefix("./")
    return None
