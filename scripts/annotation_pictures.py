"""Take the screenshots of the annotation pages in the documentation, with the groups of the demo.

python scripts/annotation_pictures.py [--output docs/images]

Needs the extra `dev` and a Chromium (`apt install chromium`).
"""

import argparse
import random
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import uvicorn
from playwright.sync_api import Browser, sync_playwright

from hggt_data.annotate.deal import DealSettings, deal_groups
from hggt_data.annotate.round import read_round
from hggt_data.annotate.web.accounts import Account, Accounts
from hggt_data.annotate.web.app import make_app
from hggt_data.annotate.web.guard import Guard
from hggt_data.annotate.web.store import Answer, AnswerStore
from hggt_data.annotate.web.study import open_store
from hggt_data.annotate.web.texts import texts_of_round
from hggt_data.schema import Label
from hggt_data.tree.demo import write_demo_tree

LABEL_KEYS = {"01": "p", "02": "s", "03": "n", "04": "p"}  # candidate 03 is sharpened far too much
ANNOTATORS = ("Ada", "Bob", "Carol", "Dan")


def main() -> None:
    """Write annotate.jpg, annotate-admin.jpg and annotate-blind.jpg."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    output = parser.parse_args().output
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary)
        patches = write_demo_tree(folder).train / "images" / "0-6"
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        with served(patches, folder / "round", DealSettings()) as (store, url_of):
            judge_some(store)
            ada = store.round.annotators[0]
            keys = [LABEL_KEYS[name] for name in store.order(ada, ada.items[-1])[:3]]
            take(browser, url_of("Ada"), output / "annotate.jpg", (1280, 950), keys)
            take(browser, url_of("admin"), output / "annotate-admin.jpg", (1280, 880))
        with served(patches, folder / "blind", DealSettings(blind=True)) as (_, url_of):
            take(browser, url_of("Ada"), output / "annotate-blind.jpg", (1280, 760), ["2"])
        browser.close()


@contextmanager
def served(patches: Path, folder: Path, settings: DealSettings) -> Iterator[tuple[AnswerStore, Callable[[str], str]]]:
    """Deal and serve a round; yields its answers, and the URL of each annotator and of `admin`."""
    deal_groups(patches, folder, ANNOTATORS, settings)
    store = open_store(replace(read_round(folder), secret="the same pictures in the same order each time"))
    accounts = Accounts()
    tokens = {name: accounts.admit(Account(name)) for name in ANNOTATORS}
    tokens["admin"] = accounts.admit(Account("admin", is_admin=True))
    texts = texts_of_round(store.round)
    server = uvicorn.Server(uvicorn.Config(Guard(make_app(store, texts), accounts.find, texts), log_level="error"))
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield store, lambda name: f"{address}{'admin' if name == 'admin' else ''}#{tokens[name]}"
    server.should_exit = True
    thread.join()


def judge_some(store: AnswerStore) -> None:
    """Answer all groups but the last of each annotator with plausible labels."""
    opinions = {"01": (8, 2, 1), "02": (2, 6, 2), "03": (2, 2, 7), "04": (7, 3, 1)}
    for annotator in store.round.annotators:
        for item in annotator.items[:-1]:
            rng = random.Random(f"{annotator.name} {item}")
            labels = {name: rng.choices(list(Label), weights)[0] for name, weights in opinions.items()}
            shown = tuple(labels[name] for name in store.order(annotator, item))
            full_zoom_s = (rng.choice((0, 5, 5, 5)), 5, 5, 5)
            store.save(annotator, item, Answer(shown, rng.uniform(15, 40), full_zoom_s=full_zoom_s), None)


def take(browser: Browser, url: str, path: Path, size: tuple[int, int], keys: Sequence[str] = ()) -> None:
    """Take a screenshot of a page in a window of this width and height, after pressing keys."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(url)
    if not keys:
        page.wait_for_selector("#contrary figure:last-child")
        page.wait_for_load_state("networkidle")
    else:
        page.wait_for_selector("#stage[data-state=shown]")
        for key in ("Enter", *keys):  # Enter closes the instructions
            page.keyboard.press(key)
    page.screenshot(path=path, type="jpeg", quality=85)
    page.close()


if __name__ == "__main__":
    main()
