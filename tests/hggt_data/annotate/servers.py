"""`hggt-data annotate` as a process that can be killed and restarted on the same port."""

import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType

import pytest

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl: apt install openssl")


def make_certificate(folder: Path, *protection: str) -> tuple[Path, Path]:
    """The files of a certificate for lab.example and of its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subject = ["-subj", "/CN=lab.example", "-addext", "subjectAltName=DNS:lab.example"]
    form = ["-x509", "-newkey", "rsa:2048", *protection]
    command: list[str | Path] = ["openssl", "req", *form, "-keyout", key, "-out", certificate, *subject]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


class Server:
    """A running server for a round; `options` are those of the command."""

    def __init__(self, folder: Path, *options: str, scheme: str = "http") -> None:
        self._folder = folder
        self._options = options
        self._scheme = scheme
        self.port = free_port()
        self._log = folder.parent / f"server-{time.monotonic_ns()}.log"
        self.start()

    def start(self) -> None:
        code = "import sys; from hggt_data.cli.main import main; main(sys.argv[1:])"
        arguments = ["annotate", str(self._folder), "--port", str(self.port), *self._options]
        with open(self._log, "w") as log:
            command = [sys.executable, "-u", "-c", code, *arguments]
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                context = ssl._create_unverified_context() if self._scheme == "https" else None
                url = f"{self._scheme}://127.0.0.1:{self.port}/api/texts"
                urllib.request.urlopen(url, timeout=5, context=context).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"the server does not respond: {self.log}")

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def url_of(self, name: str) -> str:
        """The personal URL that the server printed."""
        match = re.search(rf"^{name}: (\S+)", self.log, re.MULTILINE)
        assert match, self.log
        return match[1]

    @property
    def admin_url(self) -> str:
        return self.url_of("Progress")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
