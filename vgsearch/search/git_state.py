"""The state of the repository that a file lies in: commit, what was changed since, what is untracked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

MAX_DIFF_BYTES = 5 * 1024**2
MAX_UNTRACKED = 1000
TIMEOUT_S = 60.0


def git_files(beside: Path) -> dict[str, bytes]:
    """Describe the repository around a file as `git.txt` and `git.diff`.

    `git.txt` holds the commit, the branch and the names of untracked files, whose contents are recorded
    nowhere; `git.diff` what tracked files differ by from the commit, cut at 5 MiB, which `git.txt` then says.
    Addresses of remotes, which may carry passwords, are left out.

    Args:
        beside: Any file.

    Returns:
        Contents by name; empty where there is no repository or no git, `git.txt` alone with the reason where
        git refuses.
    """
    folder = beside.absolute().parent
    try:
        inside, root = _git(folder, "rev-parse", "--show-toplevel")
        if inside:
            return _describe(Path(root.decode("utf-8", "replace").strip()))
        refused = b"not a git repository" not in root and folder.is_dir()
        return {"git.txt": b"git does not read the repository: " + root} if refused else {}
    except FileNotFoundError:
        return {}
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"git.txt": f"git does not read the repository: {error}\n".encode()}


def _describe(root: Path) -> dict[str, bytes]:
    has_commit, commit = _git(root, "rev-parse", "--verify", "HEAD")
    _, branch = _git(root, "branch", "--show-current")
    _, listed = _git(root, "ls-files", "--others", "--exclude-standard", "-z")
    untracked = sorted(name for name in listed.decode("utf-8", "replace").split("\0") if name)
    lines = [
        f"commit {commit.decode().strip() if has_commit else 'none yet'}",
        f"branch {branch.decode('utf-8', 'replace').strip() or 'none (detached)'}",
    ]
    diff, was_cut = _diff(root) if has_commit else (b"", False)
    lines.append("changed since: nothing" if not diff else "changed since: see git.diff")
    if was_cut:
        lines.append(f"git.diff is cut after {MAX_DIFF_BYTES} bytes")
    lines.append(f"untracked files, not recorded: {len(untracked)}")
    lines += [f"  {name}" for name in untracked[:MAX_UNTRACKED]]
    if len(untracked) > MAX_UNTRACKED:
        lines.append(f"  and {len(untracked) - MAX_UNTRACKED} more")
    return {"git.txt": ("\n".join(lines) + "\n").encode(), "git.diff": diff}


def _git(folder: Path, *arguments: str) -> tuple[bool, bytes]:
    """Run git and return whether it succeeded, with its output or, where it failed, its error."""
    done = subprocess.run(
        _command(folder, *arguments), capture_output=True, timeout=TIMEOUT_S, env=_environment(), check=False
    )
    return done.returncode == 0, done.stdout if done.returncode == 0 else done.stderr


def _diff(root: Path) -> tuple[bytes, bool]:
    """Return at most `MAX_DIFF_BYTES` of the diff from the last commit, and whether that is less than all."""
    command = _command(root, "diff", "--no-color", "--no-ext-diff", "--no-textconv", "HEAD")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment()
    ) as process:
        assert process.stdout is not None
        content = process.stdout.read(MAX_DIFF_BYTES + 1)
        # What it still has to write is not wanted.
        process.kill()
    return content[:MAX_DIFF_BYTES], len(content) > MAX_DIFF_BYTES


def _command(folder: Path, *arguments: str) -> list[str]:
    # A file system monitor of the repository's own would be a program of its choice.
    return ["git", "-C", str(folder), "-c", "core.fsmonitor=false", *arguments]


def _environment() -> dict[str, str]:
    """The environment without variables that name another repository (those of a hook), in plain English."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
