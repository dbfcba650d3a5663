"""Annotation rounds: assign groups, judge them in the browser (`web/`), and merge the votes into a tree.

Serving needs the extra `annotate`: `pip install 'hggt[annotate]'`.
"""
