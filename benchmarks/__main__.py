"""Run every benchmark and write what they print to RESULTS.md: `python -m benchmarks`, or `make bench`."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
PACKAGES = ("tensorflow", "keras", "numpy", "pandas", "pillow", "scikit-learn", "simplejpeg")


def processor():
    """Return the name of the processor, as Linux tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def main():
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    parts = [
        "# Benchmarks\n\nWritten by `make bench`. Ratios travel to other machines, absolute numbers do not.\n\n"
        f"- date: {datetime.date.today()}\n- machine: {os.cpu_count()} cores, {processor()}, {platform.system()}\n"
        f"- versions: Python {platform.python_version()}, {versions}\n"
    ]
    for path in sorted(FOLDER.glob("[!_]*.py")):
        print(f"== {path.name}", flush=True)
        done = subprocess.run(
            [sys.executable, str(path)], cwd=FOLDER.parent, stdout=subprocess.PIPE, text=True, check=True
        )
        print(done.stdout, flush=True)
        parts.append(f"## {path.name}\n\n```\n{done.stdout.strip()}\n```\n")
    (FOLDER / "RESULTS.md").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
