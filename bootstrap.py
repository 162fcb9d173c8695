"""From a bare Python with pip to a finished run: ``python3 bootstrap.py study``, ``python3 bootstrap.py test``.

Creates ``.venv`` beside this file, installs the pinned dependencies and the project into it (only when pins or
project file have changed since the last time) and hands the arguments to ``invoke``, whose tasks are in tasks.py.
Standard library only.
"""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent
PINS = REPOSITORY / "constraints.txt"
ENVIRONMENT = Path(os.environ.get("LHIC_VENV", REPOSITORY / ".venv"))
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = ENVIRONMENT / "installed-from"
# torch first and alone: left to the resolver, a newer torch with gigabytes of CUDA libraries could come along.
FIRST = "torch"


def main() -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - this file may meet an older Python before any packaging tool does
        sys.exit(f"bootstrap.py: expected Python 3.11 or newer, found {sys.version.split()[0]}")
    tasks = sys.argv[1:] or ["--list"]
    install()
    command = [PYTHON, "-m", "invoke", *tasks]
    return subprocess.call(command, cwd=REPOSITORY)


def install() -> None:
    """Bring the environment up to date; nothing to do while pins and project file are those of the last time."""
    wanted = hashlib.sha256(PINS.read_bytes() + (REPOSITORY / "pyproject.toml").read_bytes()).hexdigest()
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text() == wanted:
        return
    print(f"Installing into {ENVIRONMENT.name}, two to five minutes the first time ...", file=sys.stderr, flush=True)
    # Some distributions ship Python without ensurepip, so the pip of this Python puts a pip into the environment;
    # a recent one, because older ones resolve many times slower.
    if not PYTHON.exists():
        venv.create(ENVIRONMENT, with_pip=False, clear=True)
    pip([sys.executable, "-m", "pip", "--python", PYTHON], "pip")
    pip([PYTHON, "-m", "pip"], FIRST)
    pip([PYTHON, "-m", "pip"], "--editable", f"{REPOSITORY}[study,gpu,test]")
    STAMP.write_text(wanted)


def pip(command: list, *what: str) -> None:
    options = ["--quiet", "--disable-pip-version-check", "--constraint", PINS]
    environment = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}
    subprocess.run([*command, "install", *options, *what], check=True, env=environment)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"bootstrap.py: the installation failed with exit code {error.returncode}")
