"""Drawings and pictures: matplotlib, seaborn, plotly, bokeh, altair, PIL, scikit-image."""

from __future__ import annotations

from .table import Library, Row

_PNG = """
import hashlib, io
def png(figure):
    file = io.BytesIO(); figure.savefig(file, format='png', dpi=50, metadata={'Software': None}); return hashlib.sha256(file.getvalue()).hexdigest()
"""

MATPLOTLIB = Library(
    "matplotlib",
    ("matplotlib",),
    (
        Row(
            "figures with many kinds of axes and artists",
            _PNG
            + """
import matplotlib.pyplot as plt, numpy as np
fig, ((ax, bars), (image, logs)) = plt.subplots(2, 2, figsize=(6, 5), layout='constrained')
(line,) = ax.plot([1, 2, 3], [1, 4, 9], 'o-', label='squares'); ax.legend(loc='upper left'); ax.set_title('Title'); ax.annotate('here', (2, 4), (2.5, 2), arrowprops={'arrowstyle': '->'}); twin = ax.twinx(); twin.plot([3, 2, 1])
bars.bar(['a', 'b'], [3, 5], yerr=[.5, .2]); bars.tick_params(axis='x', rotation=45); shown = image.imshow(np.arange(16).reshape(4, 4), cmap='viridis'); bar = fig.colorbar(shown, ax=image); logs.loglog([1, 10], [1, 100]); logs.fill_between([1, 10], [1, 2], [2, 3], alpha=.3)
logs.xaxis.set_major_formatter(plt.FuncFormatter(lambda v, at: f'{v * scale:.0f} m')); scale = 2; fig.suptitle('All')
""",
            (
                "fig.axes[0] is ax and line.axes is ax and line in ax.lines and bar.mappable is shown and twin.figure is fig and fig in map(plt.figure, plt.get_fignums())",
                "line.set_ydata([9, 4, 1]) is None and line.get_ydata()[0] == 9",
            ),
            ("png(fig)", "line.set_color('red'); bars.plot([0, 1], [1, 2]); png(fig)"),
        ),
        Row(
            "3-D, polar, quiver, contour, table, patches, shared axes, figures in figures",
            """
solid = plt.figure(figsize=(4, 3)); space = solid.add_subplot(projection='3d'); space.plot_surface(*np.meshgrid(np.arange(4), np.arange(4)), np.arange(16).reshape(4, 4)); space.view_init(20, 40)
round_fig, polar = plt.subplots(subplot_kw={'projection': 'polar'}); polar.plot(np.linspace(0, 6, 20), np.arange(20))
mixed, (left, right) = plt.subplots(1, 2, sharey=True); left.contourf(np.outer(np.arange(5), np.arange(5))); right.quiver([0, 1], [0, 1], [1, 0], [0, 1]); right.add_patch(plt.Circle((.5, .5), .2)); right.table([['1', '2']], loc='bottom'); left.scatter([1, 2], [2, 3], c=[1, 2], s=[10, 40]); left.hist([1, 1, 2], bins=2)
parts = plt.figure(); up, down = parts.subfigures(2, 1); up.subplots().boxplot([[1, 2, 5], [2, 3]]); down.subplots(1, 2)[0].violinplot([1, 2, 2, 5])
dated, days = plt.subplots(); days.plot(np.array(['2024-01-01', '2024-02-01'], 'M8[D]'), [1, 2]); plt.close(dated)
from matplotlib.figure import Figure
alone = Figure(figsize=(2, 2)); alone.subplots().step([1, 2], [3, 1])
""",
            ("left.get_shared_y_axes().joined(left, right) and len(parts.subfigs) == 2",),
            (
                "png(solid)",
                "png(round_fig)",
                "png(mixed)",
                "png(parts)",
                "png(dated)",
                "png(alone)",
                "left.set_ylim(0, 9); right.get_ylim()",
            ),
        ),
        Row(
            "colour maps, norms, transforms, paths, styles, tick locators",
            """
import matplotlib as mpl
from matplotlib import colors, ticker, path, transforms, font_manager, gridspec
cmap = plt.get_cmap('magma'); own = colors.ListedColormap(['red', 'blue'], name='own'); ramp = colors.LinearSegmentedColormap.from_list('ramp', ['k', 'w']); norm = colors.LogNorm(1, 100); bounds = colors.BoundaryNorm([0, 1, 2], 2)
locator = ticker.MultipleLocator(5); shape = path.Path.unit_circle(); move = transforms.Affine2D().rotate_deg(30); font = font_manager.FontProperties(size=12); cycle = mpl.rcParams['axes.prop_cycle']; settings = dict(mpl.rcParams); grid = gridspec.GridSpec(2, 2); marker = mpl.markers.MarkerStyle('o')
""",
            (
                "norm(10.) == .5 and settings['figure.dpi'] == 100.0 and font.get_size() == 12 and len(cycle) == 10 and grid.get_geometry() == (2, 2) and marker.get_marker() == 'o'",
            ),
            (
                "cmap(.5), own(1), ramp(.5), bounds(1.5), locator.tick_values(0, 20).tolist(), shape.vertices.sum(), move.transform([1, 0]).tolist()",
            ),
        ),
        Row(
            "animations",
            "from matplotlib.animation import FuncAnimation\nmoving, stage = plt.subplots(); (dot,) = stage.plot([0], [0], 'o')\ndef advance(n): dot.set_data([n], [n]); return (dot,)\nanimation = FuncAnimation(moving, advance, frames=3, repeat=False); animation._draw_was_started = True",
            ("advance(2)[0].get_xdata() == [2] and len(animation.to_jshtml()) > 1000",),
        ),
    ),
)

SEABORN = Library(
    "seaborn",
    ("seaborn",),
    (
        Row(
            "axes, grids, palettes and plots of the objects interface",
            _PNG
            + """
import seaborn as sns, pandas as pd, numpy as np, matplotlib.pyplot as plt
data = pd.DataFrame({'x': np.arange(12.), 'y': np.arange(12.) ** 2, 'k': list('abc') * 4}); ax = sns.scatterplot(data, x='x', y='y', hue='k'); grid = sns.FacetGrid(data, col='k'); grid.map_dataframe(sns.histplot, x='x')
joint = sns.jointplot(data, x='x', y='y'); pairs = sns.pairplot(data[['x', 'y']]); colours = sns.color_palette('husl', 4); heat = sns.heatmap(np.eye(3), ax=plt.figure().add_subplot()); tree = sns.clustermap(np.random.default_rng(0).random((5, 4)))
import seaborn.objects as so
plot = so.Plot(data, x='x', y='y', color='k').add(so.Dot()).scale(x='log')
""",
            (
                "grid.axes.shape == (1, 3) and grid.data is data and joint.ax_joint.figure is joint.figure and len(colours) == 4 and len(tree.dendrogram_row.reordered_ind) == 5",
            ),
            (
                "png(ax.figure)",
                "png(grid.figure)",
                "png(joint.figure)",
                "png(pairs.figure)",
                "png(heat.figure)",
                "png(tree.figure)",
                "colours.as_hex()",
                "grid.set_titles('{col_name}'); png(grid.figure)",
                "drawn = plt.figure(); plot.on(drawn).plot(); png(drawn)",
            ),
        ),
    ),
)

PLOTLY = Library(
    "plotly",
    ("plotly",),
    (
        Row(
            "figures, traces, frames of animations, express",
            """
import json, plotly.graph_objects as go, plotly.express as px, numpy as np
from plotly.subplots import make_subplots
fig = go.Figure(go.Scatter(x=[1, 2], y=np.arange(2.)), layout={'title': 'T'}); quick = px.scatter(x=[1, 2, 3], y=[1, 4, 9], color=['a', 'b', 'a']); two = make_subplots(rows=1, cols=2); two.add_trace(go.Bar(y=[1]), row=1, col=2); trace = fig.data[0]; layout = fig.layout
moving = px.scatter(x=[1, 2], y=[1, 2], animation_frame=[1, 2]); lone = go.Heatmap(z=[[1, 2]])
def js(figure): return json.dumps(json.loads(figure.to_json()), sort_keys=True)
""",
            (
                "fig.layout.title.text == 'T' and len(quick.data) == 2 and two.add_trace(go.Bar(y=[2]), row=1, col=1) is two and len(moving.frames) == 2",
                "lone.z == ((1, 2),) or list(lone.z[0]) == [1, 2]",
            ),
            ("[js(f) for f in (fig, quick, two, moving)]", "fig.add_bar(y=[1]); js(fig)"),
        ),
    ),
)

BOKEH = Library(
    "bokeh",
    ("bokeh",),
    (
        Row(
            "figures, sources, layouts, tools",
            """
from bokeh.plotting import figure, ColumnDataSource
from bokeh.layouts import row
from bokeh.models import Slider, HoverTool, CustomJS
from bokeh.document import Document
from bokeh.palettes import Viridis4
plot = figure(title='T', width=200); source = ColumnDataSource({'x': [1, 2], 'y': [3, 4]}); glyph = plot.scatter('x', 'y', source=source); slider = Slider(start=0, end=1, value=.5, title='s'); page = row(plot, slider); plot.add_tools(HoverTool())
""",
            (
                "plot.title.text == 'T' and source.data['x'] == [1, 2] and glyph.data_source is source and page.children[0] is plot and slider.value == .5",
                "plot.line([1, 2], [1, 2]) is not None and len(plot.renderers) == 2",
                "source.stream({'x': [3], 'y': [5]}) is None and source.data['x'] == [1, 2, 3]",
                "'T' in __import__('bokeh.embed', fromlist=['e']).file_html(page, 'cdn', 'page')",
            ),
        ),
    ),
)

ALTAIR = Library(
    "altair",
    ("altair",),
    (
        Row(
            "charts, layered, joined and with selections",
            """
import altair as alt, pandas as pd
data = pd.DataFrame({'x': [1, 2], 'y': [3, 4]}); chart = alt.Chart(data).mark_point().encode(x='x:Q', y=alt.Y('y', title='Y')); brush = alt.selection_interval(name='brush'); layered = chart + chart.mark_line(); joined = chart.add_params(brush) | chart; shown = alt.condition(brush, alt.value('red'), alt.value('blue'))
""",
            ("chart.data is data and len(layered.layer) == 2 and brush.param.name == 'brush'",),
            (
                "chart.to_json(), layered.to_json(), joined.to_json()",
                "chart.encode(color=shown).add_params(brush).to_json()",
            ),
        ),
    ),
)

PIL = Library(
    "Pillow",
    ("pillow",),
    (
        Row(
            "images of every mode, from files too, fonts, palettes",
            """
from PIL import Image, ImageDraw, ImageFont, ImageFilter
import numpy as np
made = Image.fromarray(np.arange(300, dtype='u1').reshape(10, 10, 3)); grey = made.convert('L'); with_palette = made.convert('P'); floats = grey.convert('F'); clear = made.convert('RGBA'); bits = grey.convert('1'); made.info['note'] = 'kept'
made.save('p.png'); loaded = Image.open('p.png'); pen = ImageDraw.Draw(clear); pen.line((0, 0, 9, 9), fill='red'); blur = ImageFilter.GaussianBlur(2); font = ImageFont.load_default()
""",
            (
                "made.mode == 'RGB' and np.asarray(made).sum() == sum(i % 256 for i in range(300)) and [i.mode for i in (grey, with_palette, floats, clear, bits)] == ['L', 'P', 'F', 'RGBA', '1']",
                "np.array_equal(np.asarray(loaded), np.asarray(made)) and loaded.size == (10, 10) and made.info == {'note': 'kept'}",
                "made.putpixel((0, 0), (9, 9, 9)) is None and made.getpixel((0, 0)) == (9, 9, 9)",
            ),
            (
                "made.rotate(30).tobytes(), with_palette.getpalette()[:12], made.filter(blur).tobytes(), clear.tobytes()",
                "pen.line((0, 9, 9, 0), fill='blue'); clear.tobytes()",
                "font.getlength('word')",
            ),
        ),
    ),
)

SKIMAGE = Library(
    "scikit-image",
    ("scikit-image",),
    (
        Row(
            "transforms, regions, models, detectors",
            """
import numpy as np
from skimage import transform, measure, feature, io, filters, segmentation
image = np.zeros((20, 20)); image[4:9, 5:12] = 1; image[12:17, 3:8] = 2; labels = measure.label(image > 0); regions = measure.regionprops(labels, intensity_image=image); turn = transform.SimilarityTransform(scale=2, rotation=.3); warp = transform.ProjectiveTransform(np.eye(3)); piecewise = transform.PiecewiseAffineTransform(); piecewise.estimate(np.array([[0, 0], [0, 9], [9, 0], [9, 9.]]), np.array([[0, 0], [0, 9], [9, 0], [8, 8.]]))
ellipse = measure.EllipseModel(); ellipse.estimate(measure.EllipseModel().predict_xy(np.linspace(0, 6, 20), (10, 10, 4, 2, .5))); orb = feature.ORB(n_keypoints=10); region = regions[0]
""",
            (
                "labels.max() == 2 and regions[1].area == 25 and regions[0].bbox == (4, 5, 9, 12) and region is regions[0]",
            ),
            (
                "turn([[1, 2]]).tolist(), warp.inverse([[1, 2]]).tolist(), piecewise([[3., 3.]]).tolist(), [r.centroid for r in regions], [r.mean_intensity for r in regions]",
                "orb.n_keypoints, [round(v, 6) for v in ellipse.params]",
                "transform.warp(image, turn.inverse).sum()",
            ),
        ),
    ),
)

LIBRARIES = (MATPLOTLIB, SEABORN, PLOTLY, BOKEH, ALTAIR, PIL, SKIMAGE)
