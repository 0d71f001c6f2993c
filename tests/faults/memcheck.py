"""valgrind sees no access to memory that is not the program's, and no branch on what was never written, in a small run and what reads it.

It knows no AVX-512: LAMP_TARGET=avx2, or scalar where valgrind's processor has no AVX2. A quarter of a minute a command.
"""
import re
import shutil
import subprocess
import sys

from law import LAMP, Tally, Undisturbed, call, run_arguments

VALGRIND = ["valgrind", "-q", "--error-exitcode=9", "--child-silent-after-fork=no"]


def main():
    tally = Tally(__doc__.splitlines()[0])
    tally.options()
    if shutil.which("valgrind") is None:
        print("skipped: valgrind is not there")
        sys.exit(77)
    with Undisturbed(tally) as undisturbed:
        target = "avx2"
        if subprocess.run([*VALGRIND, str(LAMP), "version"], capture_output=True, env={"LAMP_TARGET": target}).returncode == 2:
            target = "scalar"
        folder = undisturbed.half()
        for arguments in (run_arguments(folder, threads=2), ["status", folder], ["merge", folder], ["verify", folder, "--threads", 1],
                          ["inspect", folder / "result.h5"], ["inspect", sorted((folder / "shards").glob("*.h5"))[0], "--json"]):
            ended = call(*arguments, seconds=600, environment={"LAMP_TARGET": target}, wrapper=VALGRIND)
            tally.judge("valgrind", ended, {0})
            found = re.findall(rb"==\d+== .*", ended.error)
            tally.breach("valgrind", ended.command, b" | ".join(found[:12]).decode(errors="replace"))
        tally.breach("valgrind", "run", undisturbed.wrong_on_disk(folder, undisturbed.cells))
    tally.end()


if __name__ == "__main__":
    main()
