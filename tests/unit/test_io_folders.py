"""Which files a path, a folder or a pattern stands for, and in which order."""

from __future__ import annotations

import pytest

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.find import find_images, is_file_pattern
from perceptmetrics.images.selection import IMAGE_SUFFIXES

TREE = ("b.png", "a.JPG", "notes.txt", "c.tar.gz", "z/d.webp", "z/deep/e.tiff", "m/f.Png", "x [1]/g.png", "h[2].png")


@pytest.fixture
def tree(tmp_path):
    for name in TREE:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def names(paths, folder):
    return [path.relative_to(folder).as_posix() for path in paths]


@pytest.mark.parametrize(
    ("recursive", "expected"),
    [
        (False, ["a.JPG", "b.png", "h[2].png"]),
        (True, ["a.JPG", "b.png", "h[2].png", "m/f.Png", "x [1]/g.png", "z/d.webp", "z/deep/e.tiff"]),
    ],
)
def test_folders_give_their_images_in_order(tree, recursive, expected):
    assert names(find_images([tree], recursive=recursive), tree) == expected
    assert names(find_images([str(tree)], recursive=recursive), tree) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["b.png", "h[2].png"]),
        ("?.???", ["a.JPG", "b.png"]),
        ("*", ["a.JPG", "b.png", "c.tar.gz", "h[2].png", "notes.txt"]),
        ("**/*.[pP]ng", ["b.png", "h[2].png", "m/f.Png", "x [1]/g.png"]),
        ("z/**", ["z/d.webp", "z/deep/e.tiff"]),
        ("h[[]2].png", ["h[2].png"]),
        ("x [[]1]/*.png", ["x [1]/g.png"]),
    ],
)
def test_patterns_give_matching_files_in_order(tree, pattern, expected):
    assert names(find_images([str(tree / pattern)]), tree) == expected


@pytest.mark.parametrize(("name", "expected"), [("h[2].png", ["h[2].png"]), ("x [1]", ["x [1]/g.png"])])
def test_existing_names_with_brackets_are_no_patterns(tree, name, expected):
    assert not is_file_pattern(str(tree / name))
    assert names(find_images([tree / name]), tree) == expected


def test_a_named_file_is_taken_whatever_its_suffix(tree):
    assert names(find_images([tree / "notes.txt", tree / "b.png"]), tree) == ["notes.txt", "b.png"]


def test_paths_keep_their_order(tree):
    assert names(find_images([tree / "z", tree / "b.png", tree / "m"]), tree) == [
        "z/d.webp",
        "z/deep/e.tiff",
        "b.png",
        "m/f.Png",
    ]


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_every_image_suffix_is_found(tmp_path, suffix):
    for name in (f"lower{suffix}", f"UPPER{suffix.upper()}", f"no{suffix}.txt"):
        (tmp_path / name).touch()
    assert names(find_images([tmp_path]), tmp_path) == [f"UPPER{suffix.upper()}", f"lower{suffix}"]


def test_a_folder_without_images_is_an_error(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InvalidImageError, match=r"The folder .* holds no image \(.*\.jpg.*\)"):
        list(find_images([tmp_path]))


def test_images_in_subfolders_only_count_when_recursive(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.png").touch()
    with pytest.raises(InvalidImageError, match="holds no image"):
        list(find_images([tmp_path], recursive=False))


def test_a_pattern_without_a_match_is_an_error(tmp_path):
    with pytest.raises(InvalidImageError, match=r"No file matches '.*\*\.png'"):
        list(find_images([str(tmp_path / "*.png")]))


def test_files_are_found_lazily(tree):
    found = find_images([tree / "b.png", str(tree / "nothing*.png")])
    assert next(found) == tree / "b.png"
