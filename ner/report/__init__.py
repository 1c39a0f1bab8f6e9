"""Report: numbers -> tables, plots and an HTML page."""
