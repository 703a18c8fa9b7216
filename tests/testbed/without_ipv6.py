"""A kernel without IPv6, for one process: `python -m tests.testbed.without_ipv6 COMMAND...`.

A seccomp filter has socket(AF_INET6) fail as it does after a boot with `ipv6.disable=1`; it needs
no rights and is inherited by COMMAND, which this process becomes.
"""

import ctypes
import errno
import os
import platform
import socket
import struct
import sys

_SOCKET = {"x86_64": 41, "aarch64": 198}
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER_AT, _FIRST_ARGUMENT_AT = 0, 16
_ALLOW, _FAIL_WITH = 0x7FFF0000, 0x00050000


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def refuse_ipv6() -> None:
    """Have this process, and what it becomes, get no sockets of IPv6. Raises OSError."""
    instructions = b"".join(
        struct.pack("=HBBI", *each)
        for each in (
            (_LOAD, 0, 0, _NUMBER_AT),
            (_JUMP_IF_EQUAL, 0, 3, _SOCKET[platform.machine()]),
            (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
            (_JUMP_IF_EQUAL, 0, 1, int(socket.AF_INET6)),
            (_RETURN, 0, 0, _FAIL_WITH | errno.EAFNOSUPPORT),
            (_RETURN, 0, 0, _ALLOW),
        )
    )
    text = ctypes.create_string_buffer(instructions, len(instructions))
    program = _Program(len(instructions) // 8, ctypes.addressof(text))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_NO_NEW_PRIVILEGES, 1, 0, 0, 0),
        (_SECCOMP, _FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*arguments):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    refuse_ipv6()
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606  the test's own command
