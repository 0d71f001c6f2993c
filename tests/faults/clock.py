"""The clock of the day steps back and forth, up to ten years at each look; the other one, which only goes on, jumps. No command minds."""
import shutil

from law import Tally, Undisturbed, build_library, call, preloaded, run_arguments


def main():
    tally = Tally(__doc__)
    options = tally.options()
    with Undisturbed(tally) as undisturbed:
        library = build_library(undisturbed.scratch)
        for seed in range(1, 31 if options.long else 3):
            for ahead in (0, 1, 31, 86400) if options.long else (31 * seed,):
                clocks = preloaded(library, LAMP_CLOCK=seed, LAMP_AHEAD=ahead)
                folder, kind, where = undisturbed.half(), "clocks step", f"seed {seed}, {ahead} s ahead at each look"
                for arguments in (run_arguments(folder, threads=2), ["status", folder], ["merge", folder],
                                  ["verify", folder, "--threads", 1], ["inspect", folder / "result.h5"]):
                    tally.judge(kind, call(*arguments, environment=clocks), {0}, where)
                tally.breach(kind, "run", (what := undisturbed.wrong_on_disk(folder, undisturbed.cells)) and f"{where}: {what}")
                shutil.rmtree(folder)
    tally.end()


if __name__ == "__main__":
    main()
