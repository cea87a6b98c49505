"""What there is on this host: processes, namespaces, interfaces, mounts; one line each."""

import os
import subprocess

OURS = {os.getpid(), os.getppid()}
namespaces = set()
for entry in os.listdir("/proc"):
    if not entry.isdigit() or int(entry) in OURS:
        continue
    try:
        with open(f"/proc/{entry}/stat") as file:
            stat = file.read()
        name, state = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2]
        for kind in ("net", "mnt", "user"):
            namespaces.add(os.readlink(f"/proc/{entry}/ns/{kind}"))
    except (FileNotFoundError, ProcessLookupError):
        continue
    if state != "Z":
        print("process", entry, name)
for namespace in sorted(namespaces):
    print("namespace", namespace)
for line in subprocess.run(["ip", "-o", "link"], capture_output=True, text=True).stdout.splitlines():
    print("interface", line.split()[1])
with open("/proc/self/mountinfo") as file:
    for line in file:
        print("mount", line.split()[4])
