"""Judging candidates in the browser: a server for one round, and its page.

Needs the extra `annotate`: `pip install 'hggt[annotate]'`.
"""
