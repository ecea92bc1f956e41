"""nbsnap in JupyterLab: a notebook is run through the page, its kernel restarted from the menu, and restored.

What is asserted is what stands on the screen. Pictures go into the folder that `NBSNAP_PICTURES` names, to be looked
at.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

CELLS = [
    "%load_ext nbsnap",
    "import sqlite3, numpy as np, pandas as pd, matplotlib.pyplot as plt\n"
    "table = pd.DataFrame({'day': range(400), 'sold': np.arange(400) % 7})\n"
    "weights = np.random.default_rng(1).normal(size=(300, 400)); shared = {'weights': weights}\n"
    "model = {'rate': 0.1, 'log': open('x.log', 'w')}\n"
    "fig, ax = plt.subplots(figsize=(4, 2)); ax.plot(table.sold.rolling(30).mean());",
    "rows = (r for r in table.itertuples())\ndef top(n): return table.nlargest(n, 'sold')",
    '%snapshot before-train -m "before the <b>long</b> fit"',
    "%restore",
    "shared['weights'] is weights, len(top(3)), table.shape",
    "rows",
    "%restore --rerun rows",
    "next(rows).sold",
    "fig",
    "%autosnapshot 60",
    "import os; os.getpid()",
]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_restart_from_the_menu_loses_nothing(own_folder: Path, theme: str) -> None:
    """Snapshot, restart, restore: reports are tables, the hint stands there, values and figures are back."""
    from browser.lab import CHROMIUM, Lab, text_of

    assert CHROMIUM, "no Chromium was found"
    with Lab(own_folder, CELLS, theme=theme) as lab:
        for number in range(3):
            lab.run(number)
        saved = lab.run(3)
        assert "Snapshot before-train" in text_of(saved)
        assert saved.locator("table").count() == 1
        assert [cell.inner_text() for cell in saved.locator("td").all()[:3]] == ["skipped", "rows", "generator"]
        assert "model['log'] is an io.TextIOWrapper" in text_of(saved)
        lab.shot(f"{theme}-1-saved")
        lab.restart()
        assert "were saved here today at " in text_of(lab.run(0))
        restored = lab.run(4)
        assert "Restored before-train" in text_of(restored)
        assert "To make it again: %restore --rerun rows" in text_of(restored)
        assert "(True, 3, (400, 2))" in text_of(lab.run(5))
        missed = text_of(lab.run(6))
        assert "NameError: name 'rows' is not defined" in missed
        assert "nbsnap: rows, of type generator, made in In [3]" in missed
        assert "Made again: rows" in text_of(lab.run(7))
        assert "0" in text_of(lab.run(8))
        assert lab.run(9).locator("img").count() == 1
        assert "Autosnapshot every 60 s" in text_of(lab.run(10))
        lab.shot(f"{theme}-2-restored")
        first = text_of(lab.run(11)).strip()
        lab.restart()
        assert text_of(lab.run(11)).strip() != first
