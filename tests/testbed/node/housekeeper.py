"""The namespaces that a test node lives in, and what is left to do when it ends.

Executed by house.py under a supervisor (../supervisor.py), as root; nothing but the standard
library. A node is a process tree with namespaces of its own for processes, mounts and the network.
When its first process ends, however it ends, the kernel kills all others and takes away every
mount, bridge, route, rule and pod network with them: there is nothing to clean up by name. Left are
the cgroups, which know no such end, and the folder: these are removed here.

    housekeeper.py DIRECTORY CGROUP    SIGTERM: end; SIGHUP: end, and remove DIRECTORY
    housekeeper.py --first DIRECTORY   the node's first process
"""

import contextlib
import glob
import os
import shutil
import signal
import subprocess
import sys
import time

ADDRESSES = ("172.30.0.1/32", "172.30.0.53/32")
LINK = "node0"
SERVICES = "10.96.0.0/16"
"""Without a route to them the kernel never comes to translate their addresses."""
READY = "house"
"""Made in the folder once the namespaces are furnished."""
IMAGES, PODS = "containerd", "kubelet"
"""The folders with the unpacked images and with what pods write: a good gigabyte each."""
MUCH_MEMORY = 8 << 30
CGROUPS = "/sys/fs/cgroup"
CGROUP_DEADLINE = 2.5
NODE_SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
"""What a kubelet sets for the whole machine: it gets files that look like them."""


def main(directory: str, cgroup: str) -> None:
    """Be the parent of the namespaces until told to end."""
    signals = {signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    make_cgroups(cgroup)
    first = [sys.executable, "-I", "-S", __file__, "--first", directory]
    unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    child = subprocess.Popen([*unshare, *first])
    number = signal.sigwait(signals)
    child.kill()
    child.wait()
    remove_cgroups(cgroup)
    if number == signal.SIGHUP:
        shutil.rmtree(directory, ignore_errors=True)


def be_first(directory: str) -> None:
    """Furnish the namespaces, then be there."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    run("mount", "--make-rshared", "/")  # shared within: volumes reach pods
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    for path in ("/var/lib", "/var/log"):  # kubelet and CNI write there, whatever they are told
        above = f"/run/over{path}"
        for part in ("upper", "work"):
            os.makedirs(f"{above}/{part}")
        layers = f"lowerdir={path},upperdir={above}/upper,workdir={above}/work"
        run("mount", "-t", "overlay", "overlay", "-o", layers, path)
    for folder in (IMAGES, PODS):
        os.mkdir(f"{directory}/{folder}")
        if available_memory() > MUCH_MEMORY:  # saves seconds of unpacking, and of removing
            run("mount", "-t", "tmpfs", "tmpfs", f"{directory}/{folder}")
    for setting in NODE_SETTINGS:
        real = f"/proc/sys/{setting}"
        stand_in = f"/run/sysctl/{setting}"
        os.makedirs(os.path.dirname(stand_in), exist_ok=True)
        shutil.copyfile(real, stand_in)
        run("mount", "--bind", stand_in, real)
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", LINK, "type", "bridge")
    for address in ADDRESSES:
        run("ip", "address", "add", address, "dev", LINK)
    run("ip", "link", "set", LINK, "up")
    run("ip", "route", "add", SERVICES, "dev", LINK)
    write("/proc/sys/net/ipv4/ip_forward", "1")
    with contextlib.suppress(OSError):  # absent where bridges never ask netfilter
        write("/proc/sys/net/bridge/bridge-nf-call-iptables", "1")
    write(f"{directory}/{READY}", "")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the dead
    while True:
        signal.pause()


def available_memory() -> int:
    """What can be had without swapping, in bytes."""
    with open("/proc/meminfo") as file:
        line = next(line for line in file if line.startswith("MemAvailable:"))
    return int(line.split()[1]) * 1024


def make_cgroups(name: str) -> None:
    """Make the node's own cgroup in every hierarchy; its kubelet stays below."""
    for root in hierarchies():
        path = f"{root}/{name}"
        os.makedirs(path, exist_ok=True)
        for knob in ("cpuset.cpus", "cpuset.mems"):  # empty at first, and then of no use
            with contextlib.suppress(OSError), open(f"{root}/{knob}") as above:
                write(f"{path}/{knob}", above.read())


def remove_cgroups(name: str) -> None:
    """Remove them, as soon as the kernel has taken the last process out."""
    end = time.monotonic() + CGROUP_DEADLINE
    while left := [path for root in hierarchies() if os.path.isdir(path := f"{root}/{name}")]:
        for path in left:
            for folder, _, _ in os.walk(path, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
        if time.monotonic() > end:
            return
        time.sleep(0.02)


def hierarchies() -> list[str]:
    """The mount points of the hierarchies: one each of cgroup v1, or the only one of v2."""
    if os.path.exists(f"{CGROUPS}/cgroup.controllers"):
        return [CGROUPS]
    folders = sorted({os.path.realpath(path) for path in glob.glob(f"{CGROUPS}/*/")})
    return [path for path in folders if os.path.exists(f"{path}/cgroup.procs")]


def run(*command: str) -> None:
    """Run a program that must not fail."""
    subprocess.run(command, check=True)


def write(path: str, text: str) -> None:
    """Write a file."""
    with open(path, "w") as file:
        file.write(text)


if __name__ == "__main__":
    if sys.argv[1] == "--first":
        be_first(sys.argv[2])
    else:
        main(sys.argv[1], sys.argv[2])
