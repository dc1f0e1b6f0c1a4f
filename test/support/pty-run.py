"""Runs a program in a terminal of its own: pty-run.py ROWS COLUMNS PROGRAM ARGUMENT...

Standard input goes to its keyboard, what it draws to standard output. ESC ] r ROWS ; COLUMNS BEL on standard input changes the
size. A SIGTERM is passed on. Ends with the program's exit code, or with 99 when it left the terminal otherwise than it found it.
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios

RESIZE = re.compile(rb"\x1b\]r(\d+);(\d+)\x07")


def resize(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def main():
    rows, columns, *program = sys.argv[1:]
    master, slave = pty.openpty()
    resize(slave, int(rows), int(columns))
    before = termios.tcgetattr(slave)
    pid = os.fork()
    if pid == 0:
        os.close(master)
        os.login_tty(slave) if hasattr(os, "login_tty") else child_terminal(slave)
        os.execvp(program[0], program)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
    inputs = [master, 0]
    code = None
    while code is None:
        readable, _, _ = select.select(inputs, [], [], 0.1)
        if 0 in readable:
            data = os.read(0, 65536)
            if not data:
                inputs.remove(0)
            for rows, columns in RESIZE.findall(data):
                resize(master, int(rows), int(columns))
            os.write(master, RESIZE.sub(b"", data))
        if master in readable:
            os.write(1, os.read(master, 65536))
            continue
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
    # What it wrote since the last look.
    while select.select([master], [], [], 0)[0]:
        os.write(1, os.read(master, 65536))
    after = termios.tcgetattr(slave)
    sys.exit(99 if after != before else code if code >= 0 else 128 - code)


def child_terminal(slave):
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
    if slave > 2:
        os.close(slave)


main()
