"""The guide of a method of one's own, followed literally."""

import re

import pytest

from tests.pipeline.clone import Clone, succeeded
from tests.project import PROJECT

pytestmark = pytest.mark.slow


def test_the_guides_method_is_written_changed_tested_and_run(fresh: Clone) -> None:
    page = (PROJECT / "docs" / "your_method.md").read_text(encoding="utf-8")
    guide = page.partition("<!-- new method: begin -->")[2].partition("<!-- new method: end -->")[0]
    make, tried = re.findall(r"```bash\n(.*?)```", guide, flags=re.DOTALL)
    loss, expected = re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL)
    environment = f"export PYTHONPATH={fresh.root}\n"
    succeeded(fresh.command("bash", "-ec", environment + make))
    for name, lines in (
        ("ssul/methods/gentle/increment.py", loss),
        ("tests/methods/gentle/test_increment.py", expected),
    ):
        path = fresh.root / name
        before = path.read_text(encoding="utf-8")
        changed = re.sub(r"^ +kept = .*\n", lambda _, lines=lines: lines, before, count=1, flags=re.MULTILINE)
        assert changed != before
        path.write_text(changed, encoding="utf-8")
    outcome = succeeded(fresh.command("bash", "-ec", environment + tried))
    passed = re.search(r"^(\d+) passed, \d+ deselected", outcome.text, flags=re.MULTILINE)
    assert passed is not None, outcome.text
    assert int(passed[1]) >= 5  # its own two, and those of every method
    increment = {"select_memory@1", "train_step@1", "evaluate_step@1"}
    first, second = outcome.ran[: outcome.ran.index("report") + 1], outcome.ran[outcome.ran.index("report") + 1 :]
    assert "train_base" in first
    assert set(second) == increment | {"report"}
    assert len(re.findall(r"^\W*gentle", outcome.text, flags=re.MULTILINE)) >= 2  # the table's rows
