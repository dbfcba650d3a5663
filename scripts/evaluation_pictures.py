"""Write the images of the report and of the zoom figure in the docs, from the demo's pictures.

python scripts/evaluation_pictures.py [--output docs/images] [--weights-dir DIR]

Requires the extra `dev` and Chromium (`apt install chromium`).
"""

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from hggt_data.io.files import atomic_file
from hggt_data.tree.demo import write_demo_restored, write_demo_tree

GROUP = "coffee-16-96"


def main() -> None:
    """Write report.jpg and zoom.png."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    parser.add_argument("--weights-dir", type=Path)
    arguments = parser.parse_args()
    weights = ["--weights-dir", arguments.weights_dir.resolve()] if arguments.weights_dir else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo = write_demo_tree(folder)
        write_demo_restored(demo.lr, folder / "restored")
        restored = ("--restored", "restored/bicubic", "--restored", "restored/sharper")
        options = ("--baseline", "bicubic", "--gallery", 3, "--output", "scores")
        run(folder, "--dataset", "Test", *restored, *weights, *options)
        zoom = arguments.output.resolve() / "zoom.png"
        shown = ("--crop", f"{GROUP}:56,60,64", "--metrics", "psnr,ssim", "--dpi", 150)
        run(folder, "figure", "scores", *shown, "--output", zoom)
        take(folder / "scores/report.html", arguments.output / "report.jpg")


def run(folder: Path, *arguments: object) -> None:
    """Run hggt-eval with these arguments in the folder."""
    subprocess.run([sys.executable, "-m", "hggt_eval", *map(str, arguments)], cwd=folder, check=True)


def take(report: Path, path: Path) -> None:
    """Write a screenshot of the whole report, as wide as a laptop's screen."""
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page(viewport={"width": 1366, "height": 1500})
        page.goto(report.as_uri())
        page.get_by_role("button", name=GROUP).first.click()
        page.wait_for_function("panes.length && panes.every(({image}) => image.complete && image.naturalWidth)")
        png = page.screenshot(full_page=True)
        browser.close()
    with atomic_file(path) as file:
        Image.open(io.BytesIO(png)).convert("RGB").save(file, "JPEG", quality=80)


if __name__ == "__main__":
    main()
