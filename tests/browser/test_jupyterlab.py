"""nbsnap in JupyterLab: a notebook is run through the page, its kernel restarted from the menu, and restored.

What is asserted is what stands on the screen. Pictures go into the folder that `NBSNAP_PICTURES` names, to be looked
at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    "table['more'] = 1; del weights; added = 3\ndef top(n): return table.nlargest(n, 'sold').head(n)",
    "%snapshots diff before-train",
    "%snapshots show before-train",
    "import time\nclass Slow:\n    def __getstate__(self): time.sleep(4); return {'x': 1}\nslow = Slow()\n%snapshot",
    "%snapshots",
]

# Of all that a report writes: the least contrast with what it is written on, and whether it is wider than its room.
LOOKS = """output => {
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number)
    const linear = c => c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4
    const light = ([r, g, b]) => [r, g, b].map(c => linear(c / 255))
        .reduce((sum, c, at) => sum + c * [.2126, .7152, .0722][at], 0)
    const ground = one => {
        const colour = numbers(getComputedStyle(one).backgroundColor)
        return colour.length === 4 && colour[3] === 0 ? ground(one.parentElement) : light(colour)
    }
    const report = output.querySelector('.nbsnap')
    const contrasts = [...report.querySelectorAll('*')].filter(one => one.innerText).map(one => {
        const both = [light(numbers(getComputedStyle(one).color)), ground(one)].sort((a, b) => b - a)
        return (both[0] + .05) / (both[1] + .05)
    })
    return [Math.min(...contrasts), report.scrollWidth <= report.clientWidth + 1]
}"""


def assert_readable(output: Any) -> None:
    contrast, fits = output.evaluate(LOOKS)
    assert contrast > 3, "WCAG's least for what is large or bold"
    assert fits


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
        assert_readable(saved)
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
        lab.run(12)
        changed = lab.run(13)
        assert "1 removed" in text_of(changed)
        assert "+def top(n): return table.nlargest(n, 'sold').head(n)" in text_of(changed)
        assert_readable(changed)
        lab.shot(f"{theme}-3-changed")
        shown = lab.run(14)
        assert shown.locator("img").count() >= 1, "a figure in small"
        assert "… 395 rows more" in text_of(shown)
        assert_readable(shown)
        lab.shot(f"{theme}-4-shown")
        slow = lab.start(15)
        slow.locator("text=nbsnap: taking apart slow").wait_for(timeout=30_000)
        lab.shot(f"{theme}-5-bar")
        slow = lab.ended(15)
        assert "taking apart" not in text_of(slow)
        assert slow.locator("[data-mime-type$=stderr]").count() == 0
        heights = [one.bounding_box()["height"] for one in slow.locator(".jp-OutputArea-child").all()]
        assert heights[0] == 0, "the bar has left no room behind"
        assert len(heights) == 2
        assert_readable(lab.run(16))
        lab.shot(f"{theme}-6-list")
        first = text_of(lab.run(11)).strip()
        lab.restart()
        assert text_of(lab.run(11)).strip() != first
