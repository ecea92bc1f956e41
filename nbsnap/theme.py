"""The colours and letters of what a notebook shows: the front end's own, so that it reads in light and dark.

Styles stand in the elements: front ends strip style sheets from output, and none of ours may reach what is not ours.
Each value is that of JupyterLab (and Notebook, Kaggle), else that of VS Code; where there is neither (Colab, a page of
nbconvert, an HTML mail), text has the colour that surrounds it and the accents are mid-tones, which have a contrast of
4 to 1 and more on white and on black. So nothing has to know which theme is on, or to be drawn anew when it changes.
"""

__all__ = ["ADDED", "CODE", "DIM", "FILLED", "FONT", "MONO", "REMOVED", "TEXT", "WARN"]

FONT = "var(--jp-ui-font-family,var(--vscode-font-family,system-ui,sans-serif))"
CODE = "var(--jp-code-font-family,var(--vscode-editor-font-family,ui-monospace,monospace))"
TEXT = "var(--jp-ui-font-color1,inherit)"
MONO = f"font-family:{CODE};font-size:var(--jp-code-font-size,12px)"
DIM = "opacity:.65"
WARN = "var(--jp-warn-color0,var(--vscode-editorWarning-foreground,#b06a00))"
ADDED = "var(--jp-success-color1,var(--vscode-testing-iconPassed,#388e3c))"
REMOVED = "var(--jp-error-color1,var(--vscode-errorForeground,#d33))"
FILLED = "var(--jp-brand-color1,var(--vscode-progressBar-background,#1976d2))"
