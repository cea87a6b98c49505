"""Runs a command as the foreground job of a terminal, presses keys, and prints how the job fared.

terminal.py KEYS CMD...     KEYS: z is Ctrl-Z (then the job is continued), c is Ctrl-C

The command must print "ready" once, and again after it was continued.
"""
import os
import pty
import signal
import sys

keys, command = sys.argv[1], sys.argv[2:]
shell, terminal = pty.fork()
if shell == 0:
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execvp(command[0], command)
    while True:
        _, status = os.waitpid(job, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            print("job stopped by", os.WSTOPSIG(status), flush=True)
            os.tcsetpgrp(0, os.getpgrp())
            os.tcsetpgrp(0, job)
            os.killpg(job, signal.SIGCONT)
        elif os.WIFSIGNALED(status):
            print("job killed by", os.WTERMSIG(status), flush=True)
            os._exit(0)
        else:
            print("job exited with", os.WEXITSTATUS(status), flush=True)
            os._exit(0)

everything = unread = b""
while True:
    try:
        data = os.read(terminal, 4096)
    except OSError:
        break
    if not data:
        break
    everything += data
    unread += data
    while keys and b"ready" in unread:
        unread = unread.split(b"ready", 1)[1]
        os.write(terminal, {"z": b"\x1a", "c": b"\x03"}[keys[0]])
        keys = keys[1:]
for line in everything.decode(errors="replace").splitlines():
    if "job " in line:
        print(line[line.index("job "):])
