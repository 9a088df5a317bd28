"""What drives the browser must itself be able to see an error; else every test on it would pass."""

import pytest

pytestmark = pytest.mark.browser


def test_outputs_errors_and_values_are_seen(lab):
    lab.write_notebook("driver.ipynb", "x = 41 + 1\nprint(x)", "import time; time.sleep(1); 'done'", "1/0")
    with lab.opened("driver.ipynb") as notebook:
        notebook.run_all()
        assert notebook.output(0).first.inner_text().strip() == "42"
        assert notebook.output(1).first.inner_text().strip() == "'done'"
        assert notebook.evaluate("x") == 42
        assert "ZeroDivisionError" in "".join(notebook.errors())
