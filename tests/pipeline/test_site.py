"""The site is built without a network and has no dead link; the notebook and the pictures' commands run as written."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.pipeline.clone import TINY, Clone, succeeded, switches
from tests.project import PROJECT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a link to a page or a heading that does not exist ends the building."""
    pytest.importorskip("material", reason="mkdocs-material is not installed: ssul[docs]")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_readme_is_the_first_page_and_every_page_is_in_the_navigation(site: Path) -> None:
    first = (site / "index.html").read_text(encoding="utf-8")
    assert "make repro" in re.sub(r"<[^>]*>", "", first)
    for page in (PROJECT / "docs").rglob("*.md"):
        place = page.relative_to(PROJECT / "docs").with_suffix("").as_posix()
        assert f'href="{place}/"' in first, place


def test_the_api_holds_what_the_package_promises(site: Path) -> None:
    api = (site / "api" / "index.html").read_text(encoding="utf-8")
    assert [name for name in ("load", "predict", "extend", "overlay", "UserError") if name not in api] == []


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loaded = r'<(?:script|img|iframe)[^>]*src="(https?:[^"]*)"|<link[^>]*rel="stylesheet"[^>]*href="(https?:[^"]*)"'
    found = {one for page in site.rglob("*.html") for one in re.findall(loaded, page.read_text(encoding="utf-8"))}
    assert found == set()


def little(commands: str) -> str:
    """Commands on a few small images."""
    return re.sub(r"(dvc exp run)(?=.*)", rf"\1 {' '.join(switches(*TINY))}", commands)


def test_the_notebook_runs_from_the_first_cell_to_the_last(fresh: Clone) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: ssul[dev]")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(fresh.root / "docs" / "first_steps.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = little(cell.source)
    client = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": fresh.root / "docs"}})
    client.execute(env=fresh.environment)
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in one.get("data", {}) for one in shown) == 3
    assert not [one for one in shown if "error" in one.get("text", "")]


@pytest.mark.usefixtures("untracked")
def test_the_pictures_are_drawn_by_the_commands_of_their_page(fresh: Clone) -> None:
    page = (PROJECT / "docs" / "method.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"<!-- pictures: begin -->\n```bash\n(.*?)```", page, flags=re.DOTALL)
    pictures = set(re.findall(r"docs/(pictures/\w+\.png)", commands))
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\((pictures/\w+\.png)\)", page + readme.replace("docs/", ""))) == pictures
    for name in pictures:
        (fresh.root / "docs" / name).unlink()
    succeeded(fresh.command("bash", "-ec", little(commands)))
    for name in pictures:
        with Image.open(fresh.root / "docs" / name) as picture:
            assert picture.width > 400
