"""The images in a folder: which files count, each once, whatever links lead to them."""

import os
import socket
from pathlib import Path

import pytest

from minnorm.data.listing import list_images
from minnorm.errors import InputError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with the classes cat (2 images, one in a folder) and dog (1 image)."""
    for name in ("cat/1.png", "cat/more/2.JPG", "dog/1.png"):
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"image")
    return tmp_path / "root"


def _names(root: Path) -> dict[str, list[str]]:
    files, _ = list_images(root)
    return {name: [str(path.relative_to(root)) for path in paths] for name, paths in files.items()}


ALL = {"cat": ["cat/1.png", "cat/more/2.JPG"], "dog": ["dog/1.png"]}


def test_images_are_listed_class_by_class_in_the_order_of_names(root: Path) -> None:
    assert _names(root) == ALL
    assert not list_images(root)[1]


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("cat/loop", "."),
        ("cat/loop", ".."),
        ("cat/more/loop", "../.."),
        ("ant", "."),
        ("ant", "dog"),
        ("ant", ".."),
        ("cat/dogs", "../dog"),
        ("cat/0.png", "1.png"),
        ("cat/0.png", "../dog/1.png"),
        ("ant", "/"),
    ],
)
def test_a_link_to_what_is_read_already_adds_no_image(root: Path, link: str, target: str) -> None:
    (root / link).symlink_to(target)
    assert _names(root) == ALL
    assert sum(list_images(root)[1].values()) == 1


def test_links_to_other_folders_are_followed_once(root: Path, tmp_path: Path) -> None:
    (tmp_path / "store" / "deep").mkdir(parents=True)
    (tmp_path / "store" / "deep" / "3.png").write_bytes(b"image")
    (tmp_path / "store" / "deep" / "back").symlink_to(tmp_path / "store")
    (root / "ant").symlink_to(tmp_path / "store")
    (root / "bee").symlink_to(tmp_path / "store" / "deep")
    (root / "cat" / "4.png").symlink_to(tmp_path / "store" / "deep" / "3.png")
    assert _names(root) == {"ant": ["ant/deep/3.png"], **ALL}


def test_links_to_files_elsewhere_are_images(root: Path, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"image")
    (root / "dog" / "2.png").symlink_to(tmp_path / "blob")
    assert _names(root)["dog"] == ["dog/1.png", "dog/2.png"]


def test_what_is_no_image_is_counted(root: Path) -> None:
    (root / "cat" / "notes.txt").write_text("")
    (root / ".thumbnails").mkdir()
    (root / "cat" / ".1.png").write_bytes(b"")
    (root / "1.png").write_bytes(b"image")
    (root / "cat" / "gone.png").symlink_to("nowhere")
    (root / "cat" / "self.png").symlink_to("self.png")
    os.mkfifo(root / "cat" / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(root / "cat")  # the path of a socket must be short
        try:
            server.bind("socket.png")
        finally:
            os.chdir(here)
    (root / "dog" / "device.png").symlink_to("/dev/null")
    (root / "elk").symlink_to("nowhere")
    assert _names(root) == ALL
    assert list_images(root)[1] == {
        "files with other endings": 1,
        "hidden": 2,
        "outside the folders of the classes": 1,
        "links that lead nowhere": 3,
        "no regular files": 3,
    }


def test_a_class_without_images_is_listed(root: Path) -> None:
    (root / "ant").mkdir()
    assert _names(root) == {"ant": [], **ALL}


def test_a_folder_that_cannot_be_read_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "more":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=r"folder .*cat/more cannot be read: Permission denied"):
        list_images(root)
