"""The colours and letters of what a notebook shows: the front end's own, so that it reads in light and dark.

Styles stand in the elements: front ends strip style sheets from output, and none of ours may reach what is not ours.
Each value is that of JupyterLab (and Notebook, Kaggle), else that of VS Code. Where there is neither (Colab, a page of
nbconvert, an HTML mail), text has the colour that surrounds it, and an accent is mixed with that: so it is darker on a
light ground and lighter on a dark one. Nothing has to know which theme is on, or to be drawn anew when it changes. A
browser that cannot mix (from before 2023) shows accents as plain text, which is bold or has a sign before it.
"""

__all__ = ["ADDED", "CODE", "DIM", "FILLED", "FONT", "MONO", "REMOVED", "TEXT", "WARN"]

FONT = "var(--jp-ui-font-family,var(--vscode-font-family,system-ui,sans-serif))"
CODE = "var(--jp-code-font-family,var(--vscode-editor-font-family,ui-monospace,monospace))"
TEXT = "var(--jp-ui-font-color1,inherit)"
MONO = f"font-family:{CODE};font-size:var(--jp-code-font-size,12px)"
DIM = "opacity:.65"
WARN = "var(--jp-warn-color0,var(--vscode-editorWarning-foreground,color-mix(in srgb,#e07b00 70%,currentColor)))"
ADDED = "var(--jp-success-color1,var(--vscode-testing-iconPassed,color-mix(in srgb,#2e9e36 70%,currentColor)))"
REMOVED = "var(--jp-error-color1,var(--vscode-errorForeground,color-mix(in srgb,#e03030 70%,currentColor)))"
FILLED = "var(--jp-brand-color1,var(--vscode-progressBar-background,#1976d2))"
