"""PyKMIP's server for the bench `kmip`: prints its port, answers `cpu` with the nanoseconds that it has used, ends with its input.

CPU time is that of all its processes: the operation policies are in one of their own, which is asked for each request.
"""

import argparse
import ctypes
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time

from kmip.services.server import KmipServer

PR_SET_PDEATHSIG = 1
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
SETTINGS = """[server]
hostname=127.0.0.1
port={port}
certificate_path={cert}
key_path={key}
ca_path={ca}
auth_suite=TLS1.2
policy_path={folder}/policies
database_path={folder}/pykmip.database
"""


def end_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def cpu_ns(pids):
    """Of this process, and in ticks of those, which do little."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as stat:
            # utime and stime, the 14th and 15th field of proc_pid_stat(5); the name before them may hold spaces.
            ticks += sum(int(field) for field in stat.read().rpartition(")")[2].split()[11:13])
    return time.process_time_ns() + ticks * 1_000_000_000 // TICKS_A_SECOND


def answer(pids):
    for line in sys.stdin:
        print(cpu_ns(pids) if line.strip() == "cpu" else "", flush=True)
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ["folder", "ca", "cert", "key"]:
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--core", type=int, required=True)
    options = parser.parse_args()
    if options.core < (os.cpu_count() or 1):
        os.sched_setaffinity(0, {options.core})
    os.register_at_fork(after_in_child=end_with_parent)
    os.makedirs(f"{options.folder}/policies")
    port = free_port()
    settings = f"{options.folder}/server.conf"
    with open(settings, "w") as file:
        file.write(SETTINGS.format(port=port, **vars(options)))
    with KmipServer(config_path=settings, log_path=f"{options.folder}/server.log") as server:
        # One that nobody listens at yet refuses.
        server._socket.listen()
        pids = [server.manager._process.pid, *(child.pid for child in multiprocessing.active_children())]
        threading.Thread(target=answer, args=(sorted(set(pids)),), daemon=True).start()
        print(port, flush=True)
        server.serve()


if __name__ == "__main__":
    main()
