"""A real nginx in front of services, with the configuration of deploy/nginx."""

import getpass
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from support.service_process import ROOT, free_port, wait_until

SHIPPED = ROOT / "deploy" / "nginx" / "latent-service.conf"
PREFIX = "/latent"
SERVER = "server 127.0.0.1:8000;"
STRIPS = "proxy_pass http://latent_service/;"
PARTS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
MAIN = """
user {user};
daemon off;
worker_processes 1;
pid {folder}/pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    {paths}
    keepalive_requests 100000;
    include {folder}/latent-service.conf;
}}
"""


@contextmanager
def nginx_before(program: str, folder: Path, ports: Sequence[int], *, strips_prefix: bool) -> Iterator[str]:
    """Start it before the services on these ports of this machine, and yield its address with the prefix."""
    folder.mkdir()
    port = free_port()
    text = SHIPPED.read_text()
    assert all(text.count(part) == 1 for part in (SERVER, STRIPS, "listen 80;"))
    servers = "\n    ".join(f"server 127.0.0.1:{one} max_fails=0;" for one in ports)
    text = text.replace(SERVER, servers).replace("listen 80;", f"listen 127.0.0.1:{port};")
    if not strips_prefix:
        text = text.replace(STRIPS, STRIPS.replace("/;", ";"))
    (folder / "latent-service.conf").write_text(text)
    paths = "\n    ".join(f"{part}_temp_path {folder}/{part};" for part in PARTS)
    (folder / "nginx.conf").write_text(MAIN.format(user=getpass.getuser(), folder=folder, paths=paths))
    log = folder / "log"
    process = subprocess.Popen([program, "-c", folder / "nginx.conf", "-p", folder, "-e", log])
    url = f"http://127.0.0.1:{port}{PREFIX}"
    try:
        wait_until(lambda: _answers(url), "nginx answers")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live").status_code < 600
    except httpx.TransportError:
        return False
