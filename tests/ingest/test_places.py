"""Where the files of a declared source are, and whether two sources could have the same file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.places import Place


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def names(place: Place) -> list[str]:
    return [name for _, name in place.files()]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("logs", ["a.log", "a.log.1.gz", "eu/b.log", "eu/deep/c.log"]),
        ("logs/", ["a.log", "a.log.1.gz", "eu/b.log", "eu/deep/c.log"]),
        ("logs/*.log", ["a.log"]),
        ("logs/*.log*", ["a.log", "a.log.1.gz"]),
        ("logs/**/*.log", ["a.log", "eu/b.log", "eu/deep/c.log"]),
        ("logs/**", ["a.log", "a.log.1.gz", "eu/b.log", "eu/deep/c.log"]),
        ("logs/?u/*", ["eu/b.log"]),
        ("logs/[!x]*/b.log", ["eu/b.log"]),
        ("logs/a.log", ["a.log"]),
        ("logs/../logs/*.log", ["a.log"]),
        ("nowhere", []),
        ("nowhere/*.log", []),
    ],
)
def test_a_path_is_a_folder_a_file_or_a_pattern(tmp_path: Path, text: str, found: list[str]) -> None:
    make(tmp_path, *(f"logs/{name}" for name in ("a.log", "a.log.1.gz", "eu/b.log", "eu/deep/c.log")))
    make(tmp_path, "logs/.hidden", "logs/b.log.part", "logs/.git/b.log", "other/b.log")
    assert names(Place.of(text, tmp_path)) == found
    assert names(Place.of(str(tmp_path / text), Path("/elsewhere"))) == found


def test_signs_in_the_folder_a_path_is_relative_to_are_no_pattern(tmp_path: Path) -> None:
    make(tmp_path / "[prod]", "logs/a.log")
    make(tmp_path / "p", "logs/b.log")
    assert names(Place.of("logs/*.log", tmp_path / "[prod]")) == ["a.log"]


def test_a_link_to_a_folder_above_ends(tmp_path: Path) -> None:
    make(tmp_path, "logs/a.log")
    (tmp_path / "logs" / "loop").symlink_to(tmp_path / "logs")
    assert names(Place.of("logs", tmp_path)) == ["a.log"]


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ("/x", "/x", True),
        ("/x", "/x/y/z", True),
        ("/x", "/xy", False),
        ("/x/*.log", "/x", True),
        ("/x/*.log", "/x/*.gz", False),
        ("/x/a*", "/x/*b", True),
        ("/x/*/a.log", "/x/b/*", True),
        ("/x/*/a.log", "/x/*.log", False),  # another depth
        ("/x/**/a.log", "/x/y", True),
        ("/x/**/a.log", "/x/y/**/b.log", False),
        ("/x/?a", "/x/bb", False),
        ("/x/[ab]1", "/x/c1", False),
        ("/x/[!ab]1", "/x/c1", True),
        ("/x/[ab]1", "/x/a*", True),
    ],
)
def test_two_paths_share_files_or_not_whichever_comes_first(one: str, other: str, share: bool) -> None:
    first, second = (Place.of(text, Path("/")) for text in (one, other))
    assert first.shares_files_with(second) is share
    assert second.shares_files_with(first) is share


def test_the_same_folder_by_another_name_is_the_same(tmp_path: Path) -> None:
    make(tmp_path, "logs/a.log")
    (tmp_path / "link").symlink_to(tmp_path / "logs")
    assert Place.of("link/*.log", tmp_path).shares_files_with(Place.of("logs", tmp_path))


_PART = st.sampled_from(["a", "b", "ab", "*", "?", "a*", "*b", "[ab]", "**"])
_PATTERN = st.lists(_PART, min_size=1, max_size=3).map("/".join)
_TREE = [f"{one}{two}{name}" for one in ("", "a/", "ab/") for two in ("", "b/") for name in ("a", "b", "ab")]


@settings(max_examples=150, deadline=None)
@given(_PATTERN, _PATTERN)
def test_a_file_that_two_patterns_find_is_one_they_are_said_to_share(one: str, other: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in _TREE:  # a name is a file or a folder, as it came first
            if not (root / name).exists() and all(not up.is_file() for up in (root / name).parents):
                make(root, name)
        first, second = (Place.of(text, root) for text in (one, other))
        both = {path for path, _ in first.files()} & {path for path, _ in second.files()}
        assert not both or first.shares_files_with(second)
