"""The scripts of `lamp slurm` under a Slurm: four nodes, which are four slurmd of this machine, one of which dies in the middle of a part.
Oracle: the bits of a run by one process.

Needs root, slurmctld, slurmd and munged (Debian: slurm-wlm munge); ends with 77 where they are not there. Nothing of the system's own Slurm
is read or written: configuration, keys, ports and state are this test's."""
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import LAMP, ROOT, assert_same_bits, lamp, sets  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
CHANGES = sets("tokens.sequence_length=200", "tokens.sequences=16")  # a part takes about ten seconds, and has eight shards
NODES, PATIENCE = ("n1", "n2", "n3", "n4"), 400  # seconds
PROGRAMS = ("slurmctld", "slurmd", "munged", "mungekey", "sbatch", "setpriv")


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_until(condition, what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.2)
    return found


def parents():
    """The parent of every process, by its id."""
    found = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            found[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            pass  # it has ended
    return found


def read(pid, what):
    try:
        return pathlib.Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""  # it has ended


class Cluster:
    """munged, slurmctld and a slurmd for each node, in a folder of their own."""

    def __init__(self, folder):
        self.folder, self.processes = folder, {}
        munge = folder / "munge"
        munge.mkdir(mode=0o755)
        os.chown(munge, *(getattr(pwd.getpwnam("munge"), key) for key in ("pw_uid", "pw_gid")))
        as_munge = ["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups"]
        subprocess.run([*as_munge, "mungekey", "--create", f"--keyfile={munge}/key"], check=True)
        files = (f"--{what}-file={munge}/{what}" for what in ("key", "pid", "seed", "log"))
        self.start("munged", *as_munge, "munged", "--foreground", "--force", *files, f"--socket={munge}/socket")
        wait_until((munge / "socket").exists, "the socket of munged", 20)
        ports = free_ports(len(NODES) + 1)
        host = socket.gethostname()
        nodes = [f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=4000 State=UNKNOWN"
                 for node, port in zip(NODES, ports)]
        self.conf = folder / "slurm.conf"
        self.conf.write_text("\n".join([
            "ClusterName=lamp", f"SlurmctldHost={host}(127.0.0.1)", f"SlurmctldPort={ports[-1]}", "SlurmUser=root", "AuthType=auth/munge",
            f"AuthInfo=socket={munge}/socket", "ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none",
            "JobAcctGatherType=jobacct_gather/none", "SelectType=select/cons_tres", "SelectTypeParameters=CR_Core", "SlurmdTimeout=10",
            "ReturnToService=0", "MpiDefault=none", "SwitchType=switch/none", f"StateSaveLocation={folder}/state",
            f"SlurmctldPidFile={folder}/slurmctld.pid", f"SlurmctldLogFile={folder}/slurmctld.log", f"SlurmdSpoolDir={folder}/spool-%n",
            f"SlurmdPidFile={folder}/%n.pid", f"SlurmdLogFile={folder}/%n.log", *nodes,
            f"PartitionName=all Nodes={','.join(NODES)} Default=YES MaxTime=INFINITE State=UP", ""]))
        (folder / "state").mkdir()
        self.start("slurmctld", "slurmctld", "-D", "-f", self.conf)
        for node in NODES:
            self.start(node, "slurmd", "-D", "-N", node, "-f", self.conf)
        wait_until(lambda: self.call("sinfo", "-h", "-o", "%T %D", check=False) == f"idle {len(NODES)}", "four idle nodes", 60)

    def start(self, name, *words):
        log = open(self.folder / f"{name}.out", "wb")
        self.processes[name] = subprocess.Popen(list(map(str, words)), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        log.close()

    def call(self, *words, check=True):
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, env={**os.environ, "SLURM_CONF": str(self.conf)})
        if check and done.returncode != 0:
            raise AssertionError(f"{words}: {done.stderr}")
        return done.stdout.strip()

    def jobs(self):
        """[job, task, state, node] of what has not ended; "" for what there is not."""
        return [line.split("|") for line in self.call("squeue", "-h", "-r", "-o", "%A|%K|%T|%N").splitlines()]

    def kill_node(self, node):
        """SIGKILL to the node's slurmd, to the processes of its jobs and to the slurmstepd above these. Returns their ids."""
        above = parents()
        marks = (f"SLURM_CONF={self.conf}\0".encode(), f"SLURMD_NODENAME={node}\0".encode())
        of_jobs = {pid for pid in above if all(mark in read(pid, "environ") for mark in marks)}
        steps = {above[pid] for pid in of_jobs if b"slurmstepd" in read(above[pid], "cmdline")}
        victims = {self.processes[node].pid} | steps | of_jobs
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        self.processes.pop(node).wait()
        return victims

    def stop(self):
        self.call("scancel", "--full", "-u", "root", check=False)
        for name in [*(n for n in self.processes if n in NODES), "slurmctld", "munged"]:
            if name in self.processes:
                self.processes[name].terminate()
                self.processes[name].wait(30)


class UnderSlurm(unittest.TestCase):
    def test_a_node_dies(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            folder.chmod(0o755)
            whole, out = folder / "whole", folder / "it's 50% \"done\""
            lamp("run", CONFIG, "--out", whole, "--quiet", *CHANGES)
            cluster = Cluster(folder)
            try:
                self.run_by_parts(cluster, out)
            except BaseException:
                for log in sorted(folder.glob("*.log")) + sorted(out.glob("slurm/*.log")):
                    print(f"== {log}\n{log.read_text()[-3000:]}", file=sys.stderr)
                raise
            finally:
                cluster.stop()
            assert_same_bits(out / "result.h5", whole / "result.h5")

    def run_by_parts(self, cluster, out):
        submit = lamp("slurm", CONFIG, "--out", out, "--shards", len(NODES), *CHANGES).stdout
        start = time.monotonic()
        cluster.call("bash", "-c", submit)
        task, node = wait_until(lambda: self.one_at_work(cluster, out), "a part with a finished sequence at work")
        victims = cluster.kill_node(node)
        self.assertGreaterEqual(len(victims), 4, victims)  # slurmd, slurmstepd, bash, lamp
        killed = time.monotonic()
        job = next(job for job in cluster.jobs() if job[1] == task)[0]
        wait_until(lambda: any(j[1] == task and j[2] == "PENDING" for j in cluster.jobs()), f"part {task} is queued again")
        queued = time.monotonic()
        cluster.call("scontrol", "update", f"jobid={job}", "StartTime=now")  # Slurm lets two minutes pass
        wait_until(lambda: not cluster.jobs(), "all have ended")
        print(f"part {task} on {node}: {len(victims)} processes killed after {killed - start:.0f} s, queued again after "
              f"{queued - killed:.0f} s, all done after {time.monotonic() - killed:.0f} s", file=sys.stderr)
        logs = {k: (out / f"slurm/array-{k}.log").read_text() for k in map(str, range(1, len(NODES) + 1))}
        for k, log in logs.items():
            starts = re.findall(r"^part (\d) of 4, restart (\d), on ", log, re.M)
            self.assertEqual(starts, [(k, "0"), (k, "1")] if k == task else [(k, "0")], log)
            summary = json.loads(log.splitlines()[-1])
            self.assertEqual(summary["resumed"] > 0, k == task, summary)
        self.assertIn("Restarts=1", cluster.call("scontrol", "show", "job", job))
        self.assertNotRegex(cluster.call("scontrol", "show", "job"), "JobState=(?!COMPLETED)")
        self.assertIn("cells done)", (out / "slurm/merge.log").read_text())

    def one_at_work(self, cluster, out):
        """A part that runs and has published a shard, not the last one, with its node. Part K has every fourth sequence of all texts."""
        running = {task: node for _, task, state, node in cluster.jobs() if state == "RUNNING" and task.isdigit()}
        numbers = [int(file.name.split("-")[1]) for file in (out / "shards").glob("sequence-*.h5")]
        for task, node in running.items():
            if 1 <= sum(number % len(NODES) == int(task) - 1 for number in numbers) <= 3:
                return task, node
        return None


if __name__ == "__main__":
    if os.geteuid() != 0 or not all(map(shutil.which, PROGRAMS)) or not LAMP.exists():
        print("not run: needs root, and Slurm and munge (Debian: slurm-wlm munge)")
        sys.exit(77)
    unittest.main()
