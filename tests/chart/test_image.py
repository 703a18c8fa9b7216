"""The image's collector finds the packages that its libraries are of, by whatever path."""

import shutil
from pathlib import Path

import pytest

from image import collect

LIBRARIES = "/usr/lib/x86_64-linux-gnu"


def test_a_library_has_the_names_before_and_after_usr_was_merged(tmp_path: Path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    # where /lib leads into /usr, ldd still says /lib
    asked = collect._dpkg_names(tmp_path / "lib" / "libssl.so.3")
    assert f"{tmp_path}/usr/lib/libssl.so.3" in asked
    assert f"{tmp_path}/lib/libssl.so.3" in asked


def test_a_name_below_usr_is_asked_for_without_it_too() -> None:
    assert {"/usr/share/zoneinfo", "/share/zoneinfo"} <= collect._dpkg_names(
        Path("/usr/share/zoneinfo")
    )


@pytest.mark.skipif(
    shutil.which("dpkg-query") is None or not Path("/lib").is_symlink(),
    reason="no Debian with a merged /usr",
)
def test_the_packages_are_the_same_by_either_path() -> None:
    [library] = sorted(Path(LIBRARIES).glob("libcrypto.so.*"))[:1]
    packages = collect._packages([library])
    assert packages
    assert collect._packages([Path(str(library).removeprefix("/usr"))]) == packages
