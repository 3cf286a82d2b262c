"""What a process that reads strangers' files gives up before it looks at one of them.

Limits on memory, processor time and written files; Python's audit events; and on Linux a filter
of the kernel that refuses sockets and, for parsers, other programs, also to libraries in C.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
from typing import Final

from freehold.documents import limits

FORBIDDEN: Final = (
    "socket.",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.truncate",
    "os.chmod",
    "os.link",
    "os.symlink",
    "shutil.",
    "ftplib.",
    "http.client",
    "smtplib.",
    "urllib.Request",
)

# Architecture by its number in <linux/audit.h>; then socket, connect, ptrace, io_uring_setup and
# execve, execveat by their numbers there.
_CALLS: Final[dict[str, tuple[int, tuple[int, ...], tuple[int, ...]]]] = {
    "x86_64": (0xC000003E, (41, 42, 101, 425), (59, 322)),
    "aarch64": (0xC00000B7, (198, 203, 117, 425), (221, 281)),
}
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # BPF
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000
_X32_CALLS: Final = 0x40000000
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2


def confine() -> None:
    """Give up what parsing does not need, for good."""
    limit_resources(limits.PARSER_CPU_S, limits.PARSER_CPU_MOST_S)
    refuse_calls(programs=True)
    sys.addaudithook(_forbid)


def limit_resources(cpu_s: int, most_cpu_s: int) -> None:
    """Limit memory and processor time, and write no files and no core dumps."""
    memory = limits.PARSER_MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # pipes are no files
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, most_cpu_s))


def refuse_calls(*, programs: bool) -> bool:
    """Let the kernel refuse sockets, and other programs too if asked; return whether it does.

    Where it cannot (no Linux, another architecture, a container that forbids it), the other
    measures stand alone.
    """
    known = _CALLS.get(platform.machine())
    if sys.platform != "linux" or known is None:
        return False
    architecture, network, starting = known
    refused = (*network, *(starting if programs else ()))
    steps = [
        _step(_LOAD, 4),
        _step(_EQUAL, architecture, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, 0),
        _step(_AT_LEAST, _X32_CALLS, len(refused), 0),
        *(
            _step(_EQUAL, number, len(refused) - place - 1, 0 if place < len(refused) - 1 else 1)
            for place, number in enumerate(refused)
        ),
        _step(_RETURN, _REFUSE),
        _step(_RETURN, _ALLOW),
    ]
    return _install(b"".join(steps), len(steps))


def _install(program: bytes, count: int) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", count, ctypes.addressof(code)))
    return bool(
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
        and libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(header), 0, 0) == 0
    )


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _forbid(event: str, arguments: tuple[object, ...]) -> None:
    if event.startswith(FORBIDDEN):
        raise PermissionError(f"a parser may not do {event}")
    if event == "open" and len(arguments) > 2:
        flags = arguments[2]
        if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise PermissionError("a parser may not write files")
