#!/usr/bin/env python3
"""How long `transom ss` and `ss` take for the same list, run in turn: milliseconds, smallest and median.

usage: bench/ss.py TRANSOM [SOCKETS]    needs root; makes a network namespace with so many sockets (10000)
"""

import os
import resource
import statistics
import subprocess
import sys
import time

ROUNDS = 25
LISTS = ["-tan", "-ta", "-tanp", "-tlnp", "-taoienm", "-tan sport = :7000"]


def run(command):
    """Wall clock and processor time of one run."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def inside(transom):
    print(f"{'':20} {'ss':>15} {'transom ss':>15} {'ss, processor':>15} {'transom':>15}")
    for options in LISTS:
        commands = ["ss", *options.split()], [transom, "ss", *options.split()]
        taken = [[], []]
        for _ in range(ROUNDS):
            for times, command in zip(taken, commands):
                times.append(run(command))
        cells = []
        for kind in 0, 1:
            for times in taken:
                millis = [1e3 * each[kind] for each in times]
                cells.append(f"{min(millis):.1f} / {statistics.median(millis):.1f}")
        print(f"{options:20} " + " ".join(f"{cell:>15}" for cell in cells))


def main():
    transom = os.path.abspath(sys.argv[1])
    if len(sys.argv) > 3:
        return inside(transom)
    count = sys.argv[2] if len(sys.argv) > 2 else "10000"
    here = os.path.dirname(os.path.abspath(__file__))
    sockets = os.path.join(here, "../crates/transom-cli/tests/ss/sockets.py")
    fork = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
    holder = subprocess.Popen([*fork, "python3", sockets, count], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if not holder.stdout.readline().startswith(b"ready"):
        sys.exit("no sockets")
    place = f"/proc/{holder.pid}/ns"
    enter = ["nsenter", f"--net={place}/net", f"--mount={place}/mnt", f"--pid={place}/pid_for_children", "--"]
    subprocess.run([*enter, "python3", os.path.abspath(__file__), transom, count, "inside"], check=True)
    holder.stdin.close()
    holder.wait()


main()
