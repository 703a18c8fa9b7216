"""Copy what the operator needs to run, and no more, into a folder that becomes the image.

Run by the Dockerfile inside the base, once pgstrata is installed: `python3 collect.py VENV TARGET`.
That is the virtual environment, its interpreter with the standard library, the shared libraries
that any of it is linked to, certificates and time zones. What is left behind is, above all, every
shell. Packages of Debian whose files were taken are named in /var/lib/dpkg/status.d, where scanners
look for them. Nothing but the standard library, and `ldd`.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

USER = 65532
DATA = (
    "/etc/debian_version",
    "/etc/ld.so.cache",
    "/etc/os-release",
    "/etc/ssl/certs/ca-certificates.crt",
    "/usr/share/zoneinfo",
)
MADE = {"/etc/ssl/certs/ca-certificates.crt": "/usr/sbin/update-ca-certificates"}
"""Files that no package has, and what made them, which one has."""
MERGED = ("/lib", "/lib64", "/bin", "/sbin")
"""Links into /usr on most systems; the loader's own path goes through one of them."""
NOTHING = re.compile(r"(?!)")
UNUSED = re.compile(
    r"(site-packages|dist-packages|__pycache__|test|tests|idlelib|tkinter|turtledemo|ensurepip"
    r"|lib2to3|pydoc_data|config-.*|(_tkinter|_sqlite3|_curses.*|_dbm|_gdbm|readline|_test.*)\..*so)"
)
OTHER_PROGRAMS = re.compile(r"(?!python|pgstrata|kubectl-pgstrata).*")
GENERATED = re.compile(r"/kubernetes/(aio/)?client/(api|models)/(?!__init__)")
"""A class for each type and operation of the API: 62 MB, of which pgstrata and kopf load a few."""
LOADED = """
import pkgutil, sys, pgstrata
for module in pkgutil.walk_packages(pgstrata.__path__, "pgstrata."):
    if not module.name.endswith("__main__"):
        __import__(module.name)
print(*(file for m in sys.modules.values() if (file := getattr(m, "__file__", None))), sep="\\n")
"""
FILES = {
    "/etc/passwd": f"root:x:0:0::/root:/none\npgstrata:x:{USER}:{USER}::/nonexistent:/none\n",
    "/etc/group": f"root:x:0:\npgstrata:x:{USER}:\n",
    "/etc/nsswitch.conf": "hosts: files dns\n",
}


def main(venv: Path, target: Path) -> None:
    """Fill `target`."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    for link in MERGED:
        if os.path.islink(link):
            _copy(Path(link), target)
    trees = [*_tree(stdlib, UNUSED), *_tree(venv / "bin", OTHER_PROGRAMS), *_modules(venv)]
    programs = [*_links(venv / "bin" / "python3"), venv / "pyvenv.cfg", *trees]
    libraries = {library for path in programs for library in _libraries(path)}
    taken = {*programs, *libraries, *_name_services(libraries), *_data()}
    for path in sorted(taken):
        _copy(path, target)
    for name, text in FILES.items():
        _write(target / name.lstrip("/"), text)
    for package in _packages(taken):
        _write(target / "var/lib/dpkg/status.d" / package, _run("dpkg-query", "--status", package))
    (target / "tmp").mkdir()
    (target / "tmp").chmod(0o1777)
    # the root is read-only where it runs, and a file's time is not kept by every builder
    compileall = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([*compileall, "-s", target, "-p", "/", target], check=True)


def _tree(root: Path, left_out: re.Pattern[str] = NOTHING) -> Iterator[Path]:
    """Files and links below a folder, but for what is named so, with all that is below it."""
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if not left_out.fullmatch(name)]
        links = [name for name in names if (Path(folder) / name).is_symlink()]
        yield from (Path(folder) / n for n in (*files, *links) if not left_out.fullmatch(n))


def _modules(venv: Path) -> Iterator[Path]:
    """What is installed, but for generated classes that nothing loads."""
    loaded = set(_run(str(venv / "bin" / "python3"), "-IB", "-c", LOADED).splitlines())
    for path in _tree(venv / "lib"):
        if not GENERATED.search(str(path)) or str(path) in loaded:
            yield path


def _links(path: Path) -> Iterator[Path]:
    """A path, and what it leads to, link by link."""
    yield path
    while path.is_symlink():
        path = Path(os.path.normpath(path.parent / path.readlink()))
        yield path


def _libraries(path: Path) -> Iterator[Path]:
    """The shared libraries that a program or library is linked to, directly or not."""
    if path.is_symlink() or not path.is_file() or path.open("rb").read(4) != b"\x7fELF":
        return
    said = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    if missing := re.findall(r"^\s*(\S+) => not found", said, re.MULTILINE):
        raise SystemExit(f"{path} needs {', '.join(missing)}, which the base lacks")
    for found in re.findall(r"(?:=> |^\s*)(/\S+) \(0x", said, re.MULTILINE):
        yield from _links(Path(found))


def _name_services(libraries: Iterable[Path]) -> Iterator[Path]:
    """What the C library loads by name when it looks a host up, where that is apart from it."""
    for library in libraries:
        if library.name == "libc.so.6":
            for pattern in ("libnss_files.so*", "libnss_dns.so*", "libresolv.so*"):
                yield from library.parent.glob(pattern)


def _data() -> Iterator[Path]:
    for name in map(Path, DATA):
        yield from _tree(name) if name.is_dir() else _links(name) if name.exists() else ()


def _copy(path: Path, target: Path) -> None:
    folder = os.path.realpath(path.parent)  # not by way of a merged /lib
    copy = target / folder.lstrip("/") / path.name
    if os.path.lexists(copy):
        return
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, copy, follow_symlinks=False)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _dpkg_names(path: Path) -> set[str]:
    """What dpkg may know a file as: where /usr is merged it has two names, and dpkg knows one."""
    real = f"{os.path.realpath(path.parent)}/{path.name}"
    return {str(path), real, real.removeprefix("/usr")}


def _packages(paths: Iterable[Path]) -> set[str]:
    if shutil.which("dpkg-query") is None:
        return set()
    makers = (Path(MADE.get(str(path), path)) for path in paths)
    names = sorted({name for path in makers for name in _dpkg_names(path)})
    said = subprocess.run(
        ["dpkg-query", "--search", *names], capture_output=True, text=True, check=False
    ).stdout
    owners = re.findall(r"^([a-z0-9][^ :]+)(?::\w+)?: /", said, re.MULTILINE)
    return set(owners)


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
