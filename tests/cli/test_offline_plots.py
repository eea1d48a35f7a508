"""`ssul offline-plots` sets dvc's page of plots up; what it draws is in tests/pipeline/test_plots.py."""

import configparser
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ssul.cli.app import app
from ssul.errors import UserError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose owner has a local setting of dvc."""
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config.local").write_text("[plots]\n    auto_open = true\n", encoding="utf-8")
    return tmp_path


def test_the_template_holds_the_libraries_and_local_settings_stay(project: Path) -> None:
    pytest.importorskip("vl_convert", reason="vl-convert-python is not installed (pip install vl-convert-python)")
    assert CliRunner().invoke(app, ["offline-plots", "--root", str(project)]).exit_code == 0
    text = (project / ".dvc" / "plots_page.html").read_text(encoding="utf-8")
    assert text.count("{plot_divs}") == text.count("{refresh_tag}") == text.count("</script>") == 1
    assert "window.vegaEmbed" in text
    settings = configparser.ConfigParser()
    settings.read(project / ".dvc" / "config.local")
    assert dict(settings["plots"]) == {"auto_open": "true", "html_template": "plots_page.html"}


def test_without_the_library_one_line_says_how_to_get_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    result = CliRunner().invoke(app, ["offline-plots", "--root", str(project)])
    assert isinstance(result.exception, UserError)
    assert str(result.exception) == 'vl_convert is not installed: pip install "ssul[plots,pipeline]"'
