"""`ssul offline-plots`."""

from pathlib import Path

from ssul.cli.options import Root, require_project
from ssul.errors import UserError
from ssul.io.atomic import write_text

PAGE = "plots_page.html"
"""The template of dvc's page of plots, within .dvc; not in git, because it holds the libraries that draw."""
_VEGA_LITE = "5.21"  # dvc's specifications are of version 5
_TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh_tag}
<title>DVC plots</title>
<style>
body { margin: 1.5rem; font: 15px/1.5 system-ui, sans-serif; }
img { max-width: 46vw; }
</style>
<script>(() => { LIBRARIES })()</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""


def offline_plots(root: Root = Path()) -> None:
    """Let `dvc plots` draw without a network: its page then holds the libraries that it would load from one."""
    require_project(root)
    folder = root / ".dvc"
    if not folder.is_dir():
        raise UserError(f"{folder} is missing: make it with `dvc init`")
    try:
        import vl_convert  # late: it takes a second
        from dvc.config import Config
    except ImportError as error:
        raise UserError(f'{error.name} is not installed: pip install "ssul[plots,pipeline]"') from None
    libraries = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=_VEGA_LITE)
    write_text(folder / PAGE, _TEMPLATE.replace("LIBRARIES", libraries))
    with Config(str(folder)).edit("local") as settings:
        settings.setdefault("plots", {})["html_template"] = PAGE
    print(f"{folder / PAGE}: `dvc plots show` and `dvc plots diff` need no network")
