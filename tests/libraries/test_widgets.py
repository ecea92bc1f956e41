"""ipywidgets in real kernels, where a front end has to be told of each widget."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.heavy, pytest.mark.kernel]

MAKE = """
import ipywidgets as w
slider = w.IntSlider(value=3, max=9); label = w.Label('?'); box = w.VBox([slider, label]); seen = []
slider.observe(lambda change: seen.append(change['new']), 'value')
identity = slider.model_id
"""


def test_widgets_are_announced_to_the_front_end_again(kernel_pair: Any) -> None:
    """Restored widgets have an open channel under their old id, and call back what was registered with them."""
    kernel = kernel_pair.start()
    kernel.run(MAKE)
    kernel.run("%snapshot")
    kernel = kernel_pair.restart()
    kernel.run("%restore")
    kernel.run(
        "from ipywidgets.widgets.widget import _instances\n"
        "assert slider.comm is not None and slider.model_id == identity and _instances[identity] is slider\n"
        "assert box.children[0] is slider and box.comm.comm_id in _instances\n"
        "slider.set_state({'value': 7})\n"
        "assert seen == [7] and slider.value == 7\n"
        "slider.close(); assert slider.comm is None"
    )
