"""A program that is asked to stop, and somebody who asks right after continuing it.

    stop.py                      the program: says that it was asked, stops, says that it is back
    stop.py PROGRAM ARGUMENT...  runs this one under a command, and fails if it is not asked each time
"""

import os
import signal
import subprocess
import sys

PATIENCE = 20


def say(*words):
    print(*words, flush=True)


def program():
    stop = [signal.SIGTSTP]
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    say("ready", os.getpid())
    while True:
        signal.sigwait(stop)
        say("asked")
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stop)
        signal.pthread_sigmask(signal.SIG_BLOCK, stop)
        say("back")


def ask(command):
    # In a group of its own: one whose parents have all gone, as when the tests run in the background of a script that
    # has ended, is not stopped by SIGTSTP, whatever runs in it.
    child = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=os.setpgrp)
    # Waiting for what never comes ends when everybody is dead.
    signal.signal(signal.SIGALRM, lambda *_: child.kill())
    signal.alarm(PATIENCE)

    def expect(word):
        line = child.stdout.readline().split()
        if not line or line[0].decode() != word:
            sys.exit(f"{line} instead of {word}")
        return line

    def stopped():
        _, status = os.waitpid(child.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status) or os.WSTOPSIG(status) != signal.SIGTSTP:
            sys.exit(f"not stopped but {status:#x}")

    inside = int(expect("ready")[1])
    os.kill(child.pid, signal.SIGTSTP)
    expect("asked")
    stopped()
    for _ in range(100):
        os.kill(inside, signal.SIGCONT)
        expect("back")
        # The second comes before the process, although continued, has a processor.
        os.kill(child.pid, signal.SIGCONT)
        os.kill(child.pid, signal.SIGTSTP)
        expect("asked")
        stopped()
    os.kill(child.pid, signal.SIGCONT)
    expect("back")
    os.kill(child.pid, signal.SIGTERM)
    if child.wait() != -signal.SIGTERM:
        sys.exit(f"ended by {child.returncode}")


ask(sys.argv[1:]) if sys.argv[1:] else program()
