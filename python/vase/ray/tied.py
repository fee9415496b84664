"""Starts a program that is killed when whoever started it dies: python tied.py PROGRAM ARGUMENTS...

A replica that is killed cannot end its server any more, and a server without its replica would keep the GPU. A program of its own,
since between fork and exec in a process with threads hardly anything is allowed. Linux; elsewhere the program is started, no more.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main() -> None:
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != int(parent):  # it died before
            return
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"cannot start {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
