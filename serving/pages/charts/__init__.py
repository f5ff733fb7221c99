"""Charts as inline SVG: what each looks like (the modules beside), and how it is drawn (draw.py)."""
