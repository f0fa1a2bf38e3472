from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from vgsearch.search import git_state
from vgsearch.search.git_state import git_files


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "code é"
    (root / "spaces").mkdir(parents=True)
    git(tmp_path, "init", "-q", "-b", "work", str(root))
    (root / "spaces" / "a.yaml").write_text("name: a\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    git(root, "remote", "add", "origin", "https://me:secret@example.org/a.git")
    return root


def test_a_clean_tree(repository: Path) -> None:
    files = git_files(repository / "spaces" / "a.yaml")
    assert files["git.txt"].decode().splitlines() == [
        f"commit {git(repository, 'rev-parse', 'HEAD')}",
        "branch work",
        "changed since: nothing",
        "untracked files, not recorded: 0",
    ]
    assert files["git.diff"] == b""


def test_changes_make_the_tree_again(repository: Path, tmp_path: Path) -> None:
    (repository / "spaces" / "a.yaml").write_text("name: a\nsearch: {}\n")
    (repository / "staged.txt").write_text("staged\n")
    git(repository, "add", "staged.txt")
    (repository / "token.txt").write_text("hunter2")
    (repository / ".gitignore").write_text("ignored\n")
    (repository / "ignored").write_text("hunter2")
    files = git_files(repository / "spaces" / "a.yaml")
    text = files["git.txt"].decode()
    assert text.endswith(
        "changed since: see git.diff\nuntracked files, not recorded: 2\n  .gitignore\n  token.txt\n"
    )
    everything = b"".join(files.values())
    assert b"hunter2" not in everything
    assert b"secret" not in everything
    # Another checkout of the commit becomes the same tree.
    copy = tmp_path / "copy"
    git(tmp_path, "clone", "-q", str(repository), str(copy))
    (tmp_path / "git.diff").write_bytes(files["git.diff"])
    git(copy, "apply", str(tmp_path / "git.diff"))
    for name in ("spaces/a.yaml", "staged.txt"):
        assert (copy / name).read_text() == (repository / name).read_text()


def test_a_long_diff_is_cut_and_says_so(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_state, "MAX_DIFF_BYTES", 1000)
    monkeypatch.setattr(git_state, "MAX_UNTRACKED", 2)
    (repository / "spaces" / "a.yaml").write_text("line\n" * 100_000)
    for name in "abc":
        (repository / name).touch()
    files = git_files(repository / "spaces" / "a.yaml")
    assert len(files["git.diff"]) == 1000
    assert "git.diff is cut after 1000 bytes\n" in files["git.txt"].decode()
    assert files["git.txt"].endswith(b"untracked files, not recorded: 3\n  a\n  b\n  and 1 more\n")


def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "work", ".")
    files = git_files(tmp_path / "a.yaml")
    assert files["git.txt"].startswith(b"commit none yet\nbranch work\n")
    assert files["git.diff"] == b""


def test_no_repository_and_no_git(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_files(tmp_path / "a.yaml") == {}
    # Variables of a git hook, which name another repository.
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    assert git_files(tmp_path / "a.yaml") == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_files(repository / "spaces" / "a.yaml") == {}


def test_a_repository_that_git_refuses(repository: Path) -> None:
    (repository / ".git" / "config").write_text("[core\n")
    files = git_files(repository / "spaces" / "a.yaml")
    assert list(files) == ["git.txt"]
    assert files["git.txt"].startswith(b"git does not read the repository: ")
