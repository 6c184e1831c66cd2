"""Promise 19: what is installed is what was named."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from tests.faults.commands import CHECKOUT
from tests.faults.ledger import Ledger
from tests.faults.workshop import Workshop

LOCK = CHECKOUT / "requirements.lock"
CONSTRAINTS = CHECKOUT / "constraints.txt"
SHA256 = re.compile(r"--hash=sha256:([0-9a-f]{64})")
NOT_LOCKED = {"torch"}
"""Its builds for CPU, CUDA and ROCm differ, and with them their hashes."""
SMALL = "iniconfig"
"""A package of a few kilobytes, to plant a wrong hash in."""


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """The lock file names all that the constraints do, with hashes; planted faults are caught."""
    locked, pinned = dict(_entries(LOCK)), dict(_entries(CONSTRAINTS))
    for name, (version, _) in pinned.items():
        if name not in NOT_LOCKED:
            ledger.enter(locked.get(name, ("",))[0] == version, f"{name} {version} is locked")
    for name, (_, hashes) in locked.items():
        ledger.enter(bool(hashes), f"{name} has hashes")
    folder = workshop.fresh("supply")
    planted_hash(ledger, folder, *locked[SMALL])
    planted_wheel(ledger, folder)
    if size > 1:
        audit(ledger)


def _entries(path: Path) -> Iterator[tuple[str, tuple[str, list[str]]]]:
    """Name, version and hashes of each requirement of a file."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            requirement = Requirement(line.split("--hash")[0])
            [specifier] = requirement.specifier
            name = re.sub(r"[-_.]+", "-", requirement.name).lower()
            yield name, (specifier.version, SHA256.findall(line))


def _pip(folder: Path, requirement: str, *options: str) -> subprocess.CompletedProcess[str]:
    file = folder / "requirements.txt"
    file.write_text(requirement + "\n")
    command = [sys.executable, "-m", "pip", "install", "--require-hashes", "--no-deps"]
    command += ["--dry-run", "--ignore-installed", "--quiet", *options, "-r", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def planted_wheel(ledger: Ledger, folder: Path) -> None:
    """A wheel that was changed after its hash was taken, without any network."""
    import hashlib
    import zipfile

    wheel = folder / "planted-1.0-py3-none-any.whl"
    info = "planted-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: planted\nVersion: 1.0\n")
        tag = "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{info}/WHEEL", tag)
        archive.writestr(f"{info}/RECORD", "")
    line = f"planted==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"
    offline = ("--no-index", "--find-links", str(folder))
    honest = _pip(folder, line, *offline)
    ledger.enter(honest.returncode == 0, "the wheel as it was named", honest.stderr[-300:])
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("planted.py", "print('not what was named')")
    changed = _pip(folder, line, *offline)
    is_caught = changed.returncode != 0 and "DO NOT MATCH" in changed.stderr
    ledger.enter(is_caught, "the wheel after a change", changed.stderr[-300:])


def planted_hash(ledger: Ledger, folder: Path, version: str, hashes: list[str]) -> None:
    """A wrong hash in the lock file, if the package index can be asked."""
    honest = _pip(folder, f"{SMALL}=={version} " + " ".join(f"--hash=sha256:{h}" for h in hashes))
    if honest.returncode:
        ledger.leave_out("planted hash", "not tried: the package index cannot be reached")
        return
    wrong = _pip(folder, f"{SMALL}=={version} --hash=sha256:{'0' * 64}")
    is_caught = wrong.returncode != 0 and "DO NOT MATCH" in wrong.stderr
    ledger.enter(is_caught, "a wrong hash in the lock file", wrong.stderr[-300:])


def audit(ledger: Ledger) -> None:
    """Ask whether a locked version is known to be vulnerable; no answer is no "no"."""
    command = [sys.executable, "-m", "pip_audit", "--strict", "--no-deps", "--disable-pip"]
    command += ["--progress-spinner", "off", "-r", str(LOCK)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if "No known vulnerabilities found" in done.stdout + done.stderr and done.returncode == 0:
        ledger.notes["audit"] = "no known vulnerabilities"
        ledger.enter(True, "audit")
    elif "Found" in done.stdout + done.stderr and "known vulnerabilit" in done.stdout + done.stderr:
        ledger.enter(False, "audit", (done.stdout + done.stderr)[-600:])
    else:
        why = (done.stderr.strip().splitlines() or ["?"])[-1].removeprefix(f"{sys.executable}: ")
        ledger.leave_out("audit", f"not audited: {why}")
