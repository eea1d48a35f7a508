"""What `import ssul` offers: little, documented, typed, and imported when it is used."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import ssul

PACKAGE = Path(ssul.__file__).parent


def test_importing_it_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import ssul; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name for name in done.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names} == {"ssul"}


@pytest.mark.parametrize("name", ssul.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    assert inspect.getdoc(getattr(ssul, name))
    assert name in dir(ssul)


def test_a_name_that_there_is_not_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'ssul' has no attribute 'train'"):
        _ = ssul.train  # type: ignore[attr-defined]


def test_its_types_are_shipped() -> None:
    assert (PACKAGE / "py.typed").is_file()
