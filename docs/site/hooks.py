"""What the site has beside the files of docs/: the README as its first page, the API, and links that lead out of it.

Pages link to code, which the site does not hold. With `repo_url` in mkdocs.yml such links lead there; without it their
text stays alone.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

API = """# Python API

What `import ssul` promises; [python.md](python.md) shows it at work.

::: ssul.prediction.model.load
::: ssul.prediction.model.Model
    options: {members: [predict, save]}
::: ssul.prediction.result.Prediction
::: ssul.extension.extend
::: ssul.errors.UserError
"""
_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made of other files."""
    root = Path(config.config_file_path).parent
    readme = (root / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=readme))
    files.append(File.generated(config, "api.md", content=API))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links to files outside docs/ into links to the repository, or into their text."""
    docs, root = Path(config.docs_dir), Path(config.config_file_path).parent
    here = (docs / page.file.src_uri).parent

    def led_out(link: re.Match[str]) -> str:
        text, path, anchor = link[1], link[2], link[3] or ""
        target = (here / path).resolve()
        if target == root / "README.md":
            start = "../" * page.file.src_uri.count("/") + "index.md"
            return f"[{text}]({start}{anchor})"
        inside = files.get_file_from_path(target.relative_to(docs).as_posix()) if target.is_relative_to(docs) else None
        if inside is not None and inside.inclusion.is_included():
            return link[0]
        found = root / path if page.file.src_uri == "index.md" and not target.exists() else target
        if found.is_relative_to(docs) or not found.exists():
            return link[0]  # also a dead link, which the build refuses
        return f"[{text}]({config.repo_url}/blob/main/{found.relative_to(root)}{anchor})" if config.repo_url else text

    return _LINK.sub(led_out, markdown)
