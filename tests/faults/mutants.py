"""Files that are damaged, or made to do harm: mutants of result.h5 and of shards, with the digest that they had and with the right one.

usage: mutants.py [N] [--long]      N mutants (default: 60; 1000 with --long); with --long all commands look at each, else one

No mutant crashes a command, keeps it busy, shows another file's text or writes to the terminal but in lines. One whose digest is wrong is
no result and no shard: inspect and status say so, merge takes none, and run computes its cells again.
"""
import concurrent.futures
import json
import os
import random
import re
import shutil
import struct

import h5py
import numpy as np

from law import SANITIZED, WORLD, Tally, Undisturbed, call, controls, mended, parts_of, run_arguments

SECRET = "/etc/passwd"
# 10 s of a processor, whatever else the machine does; and 8 GiB, so that a mutant that asks for much harms no other program.
LIMITS = ["prlimit", "--cpu=100"] if SANITIZED else ["prlimit", "--cpu=10", f"--as={8 << 30}:"]
SIZES = [0, 1, 2, 0x7f, 0xff, 0xffff, 0x7fffffff, 0xffffffff, 1 << 33, 1 << 40, (1 << 62) + 5, (1 << 63) - 1, 1 << 63, (1 << 64) - 2,
         (1 << 64) - 1]
SIGNATURES = re.compile(rb"\x89HDF\r\n\x1a\n|TREE|SNOD|HEAP|GCOL|OHDR|OCHK|FRHP|FHDB|FHIB|BTHD|BTIN|BTLF|FADB|EAHD")


# Mutants of bytes: random, body -> body.

def place(random, body):
    """Mostly where HDF5 keeps its own: behind a signature, or in the first 4 KiB."""
    aim = random.random()
    if aim < 0.6:
        found = [match.start() for match in SIGNATURES.finditer(body)]
        return min(random.choice(found) + random.randrange(512), len(body) - 1)
    return random.randrange(min(4096, len(body))) if aim < 0.8 else random.randrange(len(body))


def bit_flip(random, body):
    changed = bytearray(body)
    for _ in range(random.choice([1, 1, 1, 3, 30])):
        changed[place(random, body)] ^= 1 << random.randrange(8)
    return bytes(changed)


def byte_run(random, body):
    at, n = place(random, body), random.choice([1, 4, 8, 64, 512])
    run = random.choice([bytes(n), b"\xff" * n, random.randbytes(n)])
    return body[:at] + run[:len(body) - at] + body[at + n:]


def truncated(random, body):
    return body[:random.choice([0, 7, 8, 95, random.randrange(len(body)), random.randrange(len(body)), len(body) - 1])]


def swapped_blocks(random, body):
    n = 1 << random.randrange(3, 13)
    a, b = sorted(random.sample(range(len(body) // n), 2))
    return body[:a * n] + body[b * n:(b + 1) * n] + body[(a + 1) * n:b * n] + body[a * n:(a + 1) * n] + body[(b + 1) * n:]


def other_sizes(random, body):
    """A whole number of 1, 2, 4 or 8 bytes, where HDF5 keeps its own, is a large one, or one that is a little off."""
    form = random.choice("BHIQ")
    n = struct.calcsize(form)
    at = min(place(random, body) // n * n, len(body) - n)
    old = struct.unpack_from("<" + form, body, at)[0]
    new = random.choice([*SIZES, old + 1, old - 1, 2 * old, old + 4096, len(body)]) % (1 << (8 * n))
    return body[:at] + struct.pack("<" + form, new) + body[at + n:]


def longer(random, body):
    return body + random.randbytes(random.choice([1, 100, 5000]))


# Mutants that h5py makes: random, open file.

def some(random, file, kind):
    """A random dataset or group below the root, and the group it is in and its name."""
    found = []
    file.visititems(lambda name, node: found.append(name) if isinstance(node, kind) else None)
    name = random.choice(found)
    return file[name], file[name].parent, name.rsplit("/", 1)[-1]


def instead(random, file, kind=h5py.Dataset):
    """Takes an object away; where another may take its place."""
    node, parent, name = some(random, file, kind)
    kept = (node.shape, node.dtype, dict(node.attrs)) if kind is h5py.Dataset else None
    del parent[name]
    return parent, name, kept


def with_attributes(dataset, kept):
    for name, value in kept[2].items():
        if name not in ("DIMENSION_LIST", "REFERENCE_LIST"):
            dataset.attrs[name] = value


def external_storage(random, file):
    parent, name, kept = instead(random, file)
    shape = kept[0] if kept[0] and np.prod(kept[0]) > 0 else (512,)
    kind = random.choice([np.uint8, kept[1] if kept[1].kind in "fiu" else np.uint8])
    with_attributes(parent.create_dataset(name, shape, kind, external=[(SECRET, 0, h5py.h5f.UNLIMITED)]), kept)


def external_link(random, file):
    parent, name, _ = instead(random, file, random.choice([h5py.Dataset, h5py.Group]))
    file_name = random.choice([SECRET, "../result.h5", "/dev/zero", "/dev/stdin"])
    parent[name] = h5py.ExternalLink(file_name, random.choice(["/", "/metrics/kl", "/x"]))


def virtual_dataset(random, file):
    parent, name, kept = instead(random, file)
    layout = h5py.VirtualLayout((512,), np.uint8)
    layout[:] = h5py.VirtualSource(random.choice([SECRET, "../result.h5"]), "metrics/kl", (512,))
    with_attributes(parent.create_virtual_dataset(name, layout), kept)


def link_loop(random, file):
    parent, name, _ = instead(random, file, random.choice([h5py.Dataset, h5py.Group]))
    kind = random.randrange(3)
    if kind == 0:
        parent[name] = h5py.SoftLink(parent.name.rstrip("/") + "/" + name)
    elif kind == 1:
        parent[name], parent["b"] = h5py.SoftLink(parent.name.rstrip("/") + "/b"), h5py.SoftLink(parent.name.rstrip("/") + "/" + name)
    else:
        parent[name] = file["/"]  # a group that is inside itself


def unknown_filter(random, file):
    parent, name, kept = instead(random, file)
    shape = kept[0] if kept[0] and np.prod(kept[0]) > 0 else (5,)
    kind = kept[1] if kept[1].kind in "fiu" else np.dtype(np.uint8)
    data = np.zeros(shape, kind)
    with_attributes(parent.create_dataset(name, data=data, chunks=shape, compression="lzf"), kept)  # h5py's own


def huge_extent(random, file):
    parent, name, kept = instead(random, file)
    rank = len(kept[0]) or 1
    sizes = tuple(random.choice([1, 2, 1 << 20, 1 << 31, (1 << 62)]) for _ in range(rank))
    sizes = sizes if np.prod([float(s) for s in sizes]) < 2.0**62 else ((1 << 50),) + (1,) * (rank - 1)
    kind = kept[1] if kept[1].kind in "fiu" else np.dtype(np.float64)
    with_attributes(parent.create_dataset(name, sizes, kind, chunks=(1,) * rank), kept)


def deep_groups(random, file):
    group = file
    for _ in range(random.choice([50, 2000])):
        group = group.create_group("g")


def many_links(random, file):
    group = file.create_group("many")
    for number in range(5000):
        group[f"n{number}"] = h5py.SoftLink("/nothing")


def wrong_type(random, file):
    parent, name, kept = instead(random, file)
    kind = random.choice([np.float16, ">i8", "S7", h5py.string_dtype(), h5py.vlen_dtype(np.float64), h5py.ref_dtype, np.complex64, bool,
                          np.dtype([("a", np.int32), ("b", np.float64)]), np.dtype((np.float64, (3,)))])
    with_attributes(parent.create_dataset(name, kept[0], kind), kept)


def other_shape(random, file):
    parent, name, kept = instead(random, file)
    kind = kept[1] if kept[1].kind in "fiu" else np.dtype(np.float64)
    shape = random.choice([(), (0,), (1,), (3, 0, 2), (1,) * 32])
    no_extent = random.random() < 0.2
    dataset = parent.create_dataset(name, dtype=kind) if no_extent else parent.create_dataset(name, shape, kind)
    with_attributes(dataset, kept)


def controls_in_names(random, file):
    text = random.choice(["\x1b[31mred", "a\nlamp run: all is well", "\x07", "\x9b31m", "\u202egnp", "a\tb", "\r", "x" * 70000, "\x7f",
                          "'\"\\"])
    node, parent, name = some(random, file, random.choice([h5py.Dataset, h5py.Group]))
    which = random.randrange(4)
    if which == 0:
        parent.move(name, text[:1000])
    elif which == 1:
        file.attrs[random.choice(["title", "experiment", "schema_version", text[:100]])] = text[:60000]
    elif which == 2:
        node.attrs[random.choice(["units", "long_name", "dims", "text", text[:100]])] = text[:60000]
    else:
        parent[b"\xff\xfe\x1b" + text[:50].encode()] = h5py.SoftLink("/nothing")


def missing_object(random, file):
    instead(random, file, random.choice([h5py.Dataset, h5py.Dataset, h5py.Group]))


def other_attribute(random, file):
    node = random.choice([file, some(random, file, h5py.Dataset)[0]])
    if len(node.attrs) == 0:
        node = file
    name = random.choice(list(node.attrs))
    del node.attrs[name]
    value = random.choice([None, -1, 1 << 62, 1.5, np.nan, "", "x", np.arange(8000), ["a", "b"] * 900, h5py.Empty("f"), np.zeros((0,)),
                           file.ref])
    if value is not None:
        node.attrs.create(name, value, dtype=h5py.ref_dtype if isinstance(value, h5py.Reference) else None)


def scales_to_nowhere(random, file):
    node = some(random, file, h5py.Dataset)[0]
    rank = max(len(node.shape or ()), 1)
    where = np.empty(rank, dtype=object)
    for axis in range(rank):
        where[axis] = np.array([random.choice([file.ref, node.ref, h5py.Reference()])], dtype=h5py.ref_dtype)
    if "DIMENSION_LIST" in node.attrs:
        del node.attrs["DIMENSION_LIST"]
    node.attrs.create("DIMENSION_LIST", where, dtype=h5py.vlen_dtype(h5py.ref_dtype))


OF_BYTES = [bit_flip, bit_flip, byte_run, truncated, swapped_blocks, other_sizes, other_sizes, longer]
CRAFTED = [external_storage, external_link, virtual_dataset, link_loop, unknown_filter, huge_extent, deep_groups, many_links, wrong_type,
           other_shape, controls_in_names, controls_in_names, missing_object, other_attribute, scales_to_nowhere]


def crafted(make, random, parts, scratch):
    """The body after h5py has had the file open; None where h5py could not."""
    file = scratch / "craft.h5"
    file.write_bytes(parts[0] + parts[1])
    try:
        with h5py.File(file, "r+") as opened:
            make(random, opened)
    except (ValueError, TypeError, OSError, RuntimeError, KeyError, OverflowError) as error:
        if os.environ.get("LAMP_FAULTS_SHOW"):
            print(f"{make.__name__}: h5py cannot: {str(error)[:100]}")
        return None
    return file.read_bytes()[len(parts[0]):]


def make_mutant(number, random, original, scratch):
    """(name of its kind, whether its digest is right, its bytes)."""
    parts = parts_of(original)
    while True:
        make = random.choice(OF_BYTES) if random.random() < 0.5 else random.choice(CRAFTED)
        body = make(random, parts[1]) if make in OF_BYTES else crafted(make, random, parts, scratch)
        if body is None or body == parts[1]:
            continue
        right = number % 4 != 0 and bool(parts[0] or parts[2])
        data = mended(parts[0], body, parts[2]) if right else parts[0] + body + parts[2]
        if not right and make is truncated and random.random() < 0.5:
            data = original[:random.randrange(len(original))]  # its header or trailer, too
        return make.__name__.replace("_", " "), right, data


def look(undisturbed, folder, file, which, sealed, command):
    """A command on a folder with a mutant: how it ended, and what is wrong with that beside the law."""
    as_json = command.endswith("--json")
    arguments = {"inspect": ["inspect", file], "inspect --json": ["inspect", file, "--json"], "status": ["status", folder],
                 "status --json": ["status", folder, "--json"], "merge": ["merge", folder], "run": run_arguments(folder)}[command]
    ended = call(*arguments, seconds=300 if SANITIZED else 60, wrapper=LIMITS)
    wrong = []
    if controls(ended.output):
        wrong.append(f"control characters {controls(ended.output)} on standard output")
    if b"root:x:0:0" in ended.output + ended.error:
        wrong.append(f"shows {SECRET}")
    if as_json and ended.output:
        try:
            json.loads(ended.output)
        except ValueError as error:
            wrong.append(f"no JSON: {error}")
    if not sealed and ended.command == "inspect" and ended.code != 65:
        wrong.append(f"its digest is wrong, but inspect ends with {ended.code}")
    if not sealed and ended.command == "status" and which == "shard" and ended.code != 65:
        wrong.append(f"the digest of a shard is wrong, but status ends with {ended.code}")
    if ended.command in ("merge", "run") and ended.code == 0:
        differ = undisturbed.differences(folder / "result.h5")
        if differ:
            wrong.append(f"a wrong result is published: {differ[:3]}")
    goes_on = ended.command in ("merge", "run") and which == "result" or ended.command == "run" and not sealed
    if goes_on and ended.code != 0:
        wrong.append(f"does not go on: {ended.code}: {ended.line()}")
    return ended, wrong


def try_mutant(undisturbed, number, which, commands, sealed, data):
    """All that the commands say to one mutant; run comes last, for it may mend the folder."""
    found, folder = [], undisturbed.scratch / f"mutant{number}"
    for command in commands:
        shutil.copytree(undisturbed.whole, folder)
        file = folder / "result.h5" if which == "result" else sorted((folder / "shards").glob("*.h5"))[number % 2]
        file.write_bytes(data)
        found.append(look(undisturbed, folder, file, which, sealed, command))
        shutil.rmtree(folder)
    return found


def main():
    tally = Tally(__doc__.splitlines()[0])
    tally.parser.add_argument("count", metavar="N", nargs="?", type=int, help="mutants")
    tally.parser.add_argument("--seed", type=int, default=20261130)
    tally.parser.add_argument("--only", type=int, metavar="NUMBER", help="this mutant alone, which stays in ./mutant.h5")
    options = tally.options()
    count = options.count if options.count is not None else 1000 if options.long else 60
    every = ["inspect", "inspect --json", "status", "status --json", "merge", "run"]
    with Undisturbed(tally) as undisturbed, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        originals = {"result": (undisturbed.whole / "result.h5").read_bytes(), "shard": sorted((undisturbed.whole / "shards").glob("*.h5"))}
        waiting = []
        for number in range(count):
            chance = random.Random(f"{options.seed} {number}")
            which = chance.choice(["result", "shard"])
            original = originals["result"] if which == "result" else originals["shard"][number % 2].read_bytes()
            kind, sealed, data = make_mutant(number, chance, original, undisturbed.scratch)
            commands = every if options.long else [every[number % len(every)]]
            if options.only is not None:
                if number != options.only:
                    continue
                with open("mutant.h5", "wb") as file:
                    file.write(data)
                commands = every
            label = f"{which}, {kind}" + ("" if sealed else ", wrong digest")
            waiting.append((number, label, pool.submit(try_mutant, undisturbed, number, which, commands, sealed, data)))
        for number, label, future in waiting:
            for ended, wrong in future.result():
                tally.judge(label, ended, WORLD, f"mutant {number}")
                for what in wrong:
                    tally.breach(label, ended.command, f"mutant {number}: {what}")
    tally.end()


if __name__ == "__main__":
    main()
