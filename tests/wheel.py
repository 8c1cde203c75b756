"""Proof of the built wheel, a program of its own: `make wheel-check`.

Builds the wheel, unpacks it into a new environment and runs it from an empty folder. The
dependencies are borrowed from the environment that runs this, by one path line: nothing is
downloaded, and the checkout itself is not reachable from there.
"""

import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STEP_S_MAX = 120

# Runs inside the new environment. The server's libraries must not be needed by a worker.
WORKER_NEEDS_NO_SERVER = """
import sys
for name in ("aiohttp", "grpc_health", "grpc_reflection", "msgspec", "orjson", "uvloop"):
    sys.modules[name] = None
import podium, podium_worker
for module in (podium, podium_worker):
    assert module.__file__.startswith(sys.prefix), f"expected the wheel, found {module.__file__}"
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed."""
    words = [*map(str, command)]
    done = subprocess.run(
        words, cwd=cwd, capture_output=True, text=True, timeout=STEP_S_MAX, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def install(wheel: Path, home: Path) -> Path:
    """The bin folder of a new environment that holds the wheel and borrows its dependencies."""
    venv.create(home, with_pip=False, symlinks=True)
    pip = (sys.executable, "-m", "pip", "--python", home / "bin" / "python", "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", wheel, cwd=home)
    # Only now, or pip would take the checkout's own installation for one to replace.
    target = next(home.glob("lib/python*/site-packages"))
    (target / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def main() -> None:
    """Exits 0 and prints one line when the wheel stands alone."""
    with tempfile.TemporaryDirectory(prefix="podium-wheel-") as name:
        folder = Path(name)
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
        (wheel,) = folder.glob("podium-*.whl")
        binaries = install(wheel, folder / "env")
        run(binaries / "python", "-c", WORKER_NEEDS_NO_SERVER, cwd=folder)
        run(binaries / "podium", "--help", cwd=folder)
        run(binaries / "podium", "demo", cwd=folder)
        print(f"{wheel.name}: imports, --help and demo work from the wheel alone")


if __name__ == "__main__":
    main()
