"""Unpack a program of another Debian release, with all it needs, into a folder; the host is untouched.

    python3 scripts/private_tree.py asterisk forky /var/lib/nightbell/trees/asterisk

apt itself finds and verifies the packages: it runs with a private state (own lists, an empty dpkg status,
own sources); the mirror is the one this machine uses. Nothing is configured, no maintainer script runs.
Needs only Debian's python3 and apt. Errors end the program with one sentence.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MARK = "tree.json"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def main(arguments: list[str]) -> None:
    """Make the tree, unless it is there already with this program of this release."""
    program, suite, target = arguments[0], arguments[1], Path(arguments[2])
    wanted = {"program": program, "suite": suite}
    if _mark(target).items() >= wanted.items():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as name:
        work = Path(name)
        apt = _private_apt(work, suite)
        _say(f"{program}: reading the package list of Debian {suite}")
        _run([*apt, "update", "-qq"], work)
        packages = _closure(_run([*apt, "install", "--simulate", "--no-install-recommends", program], work))
        _say(f"{program}: fetching {len(packages)} packages")
        (work / "debs").mkdir()
        _run([*apt, "download", "-qq", *packages], work / "debs")
        root = work / "tree" / "root"
        root.mkdir(parents=True)
        archives = sorted((work / "debs").glob("*.deb"))
        for archive in archives:
            _unpack(archive, root)
        (work / "tree" / MARK).write_text(json.dumps({**wanted, "packages": packages}, indent=1) + "\n")
        (work / "tree").chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        (work / "tree").rename(target)
    _say(f"{program}: ready in {target}")


def _mark(target: Path) -> dict[str, object]:
    try:
        mark = json.loads((target / MARK).read_text())
    except (OSError, ValueError):
        return {}
    return mark if isinstance(mark, dict) else {}


def _private_apt(work: Path, suite: str) -> list[str]:
    """An apt-get with its own lists and an empty idea of what is installed, so that a closure is complete."""
    state = work / "apt"
    for folder in ("lists/partial", "cache/archives/partial", "parts", "preferences"):
        (state / folder).mkdir(parents=True)
    (state / "status").touch()
    signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    (state / "sources.list").write_text(f"deb {signed}{_mirror()} {suite} main\n")
    options = {
        "Dir::State::Lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "Dir::Etc::SourceList": state / "sources.list",
        "Dir::Etc::SourceParts": state / "parts",
        "Dir::Etc::Preferences": state / "preferences" / "none",
        "Dir::Etc::PreferencesParts": state / "preferences",
        "APT::Sandbox::User": "root",  # the state is below a folder that only root can enter
        "APT::Update::Post-Invoke": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": 3,
    }
    return ["apt-get", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]


def _mirror() -> str:
    """The Debian mirror this machine is set up with."""
    listing = _run(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"], Path("/"))
    for line in listing.splitlines():
        origin, label, uri = line.split("|", 2)
        if origin == "Debian" and label == "Debian":
            return uri
    sys.exit(
        "apt knows no Debian mirror on this machine: run `apt-get update` and look at /etc/apt/sources.list"
    )


def _closure(simulation: str) -> list[str]:
    """The packages, as name=version, of `apt-get --simulate install`."""
    found = re.findall(r"^Inst (\S+) \((\S+) ", simulation, re.MULTILINE)
    return [f"{name}={version}" for name, version in found]


def _unpack(archive: Path, root: Path) -> None:
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as reader:
        # Documentation of hundreds of packages would be a third of the tree.
        excluded = ["--exclude=./usr/share/doc", "--exclude=./usr/share/man", "--exclude=./usr/share/locale"]
        subprocess.run(
            ["tar", "-x", "--no-same-owner", *excluded, "-C", root], stdin=reader.stdout, check=True
        )
    if reader.returncode:
        sys.exit(f"{archive.name} cannot be unpacked (dpkg-deb ended with {reader.returncode})")


def _run(command: list[str], where: Path) -> str:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        sys.exit(f"`{command[0]} … {command[-1]}` ended with {done.returncode}: {' / '.join(last)}")
    return done.stdout


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
