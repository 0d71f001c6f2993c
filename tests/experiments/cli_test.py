"""The command line as a user meets it: exit codes, one-line errors on standard error, data alone on standard output."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import LAMP, ROOT  # noqa: E402

NANO = ROOT / "data/models/gpt2-nano"
CONFIG = ROOT / "tests/experiments/nano.toml"
COMMANDS = "help run plan config status merge verify inspect formats version calc tokenize fetch bench reveal slurm completion".split()
NOT_A_COUNT = ["4x", "1e1", "0x4", " 4", "+4", "", "99999999999999999999999", "1,5", "0", "-1", "1.0", "４"]


def lamp(*arguments, data=b"", **options):
    return subprocess.run([str(LAMP), *map(str, arguments)], input=data, capture_output=True, timeout=60, **options)


class CommandLine(unittest.TestCase):
    def refused(self, code, words, *arguments, data=b"", **options):
        """The command fails with `code`, nothing on standard output, and one line that holds every word."""
        done = lamp(*arguments, data=data, **options)
        message = done.stderr.decode()
        self.assertEqual((done.returncode, done.stdout), (code, b""), message)
        self.assertEqual(message.count("\n"), 1, message)
        self.assertTrue(message.startswith("lamp"), message)
        for word in words:
            self.assertIn(word, message)
        return message

    def test_the_checker_sees_success_and_a_missing_word(self):
        with self.assertRaises(AssertionError):
            self.refused(2, [], "version")
        with self.assertRaises(AssertionError):
            self.refused(2, ["no such word"], "frobnicate")

    def test_help_and_version(self):
        for arguments in (["-h"], ["--help"], ["help"]):
            done = lamp(*arguments)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            for command in COMMANDS:
                self.assertIn(f"\n  {command}", done.stdout.decode())
        self.assertRegex(lamp("--version").stdout.decode(), r"^lamp \d+\.\d+\.\d+\n$")
        for command in COMMANDS:
            done = lamp(command, "-h")
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(f"lamp {command}", done.stdout.decode())
            self.assertEqual(lamp("help", command).stdout, done.stdout)
        self.refused(2, ['lamp help: unknown command "rnu"', 'did you mean "run"?'], "help", "rnu")
        self.refused(2, ["unexpected argument"], "help", "run", "plan")

    def test_a_command_that_is_not_there_is_not_listed(self):
        """lamp-bench lies beside lamp, or there is no `bench`."""
        with tempfile.TemporaryDirectory() as folder:
            alone = pathlib.Path(folder) / "lamp"
            alone.write_bytes(pathlib.Path(LAMP).read_bytes())
            alone.chmod(0o755)

            def says(*arguments):
                return subprocess.run([alone, *arguments], capture_output=True, text=True, timeout=60)

            self.assertIn("\n  bench", lamp("help").stdout.decode())
            self.assertIn("\n  verify", says("help").stdout)
            self.assertNotIn("bench", says("help").stdout + says().stderr + says("x").stderr + says("completion", "--words", "").stdout)
            told = says("bench")
            self.assertEqual((told.returncode, told.stderr.count("\n")), (66, 1))
            self.assertIn("libbenchmark-dev", told.stderr)

    def test_unknown_words_get_the_nearest_known_one(self):
        self.refused(2, ['lamp: unknown command "rum"', 'did you mean "run"?'], "rum")
        self.refused(2, ['did you mean "--version"?'], "--versoin")
        self.refused(2, ["lamp run: unknown option --thread;", 'did you mean "--threads"?'], "run", CONFIG, "--thread", "4")
        self.refused(2, ["unexpected argument"], "config", "x")
        self.refused(2, ["a command is missing", "run, plan"])
        self.refused(2, ['unknown format', 'did you mean "bfloat16"?'], "reveal", "--n", "4", "--format", "bf16", "--command", "cat")
        self.refused(65, ["unknown format", 'did you mean "e4m3fn"?'], "formats", "float8_e4m3fn")
        self.refused(2, ["unknown command"], "")
        self.refused(2, ["unknown command"], "a\nb\x1b[31m")

    def test_numbers(self):
        for number in NOT_A_COUNT:
            self.refused(2, ["lamp run: --threads", "legal: 1 to 1024"], "run", CONFIG, "--threads", number)
            self.refused(2, ["lamp run: --shard", "legal: K/N"], "run", CONFIG, "--shard=1/" + number)
            self.refused(2, ["lamp run: --shard", "legal: K/N"], "run", CONFIG, "--shard=" + number + "/3")
        for shard in ("4/3", "1", "1/2/3", "/"):
            self.refused(2, ["--shard"], "run", CONFIG, "--shard", shard)
        self.refused(2, ["--threads"], "run", CONFIG, "--threads")
        self.refused(2, ["--out is empty"], "run", CONFIG, "--out", "")
        self.refused(2, ["CONFIG.toml is required"], "run")

    def test_reveal(self):
        def reveal(command, *more, n=9, form="binary32"):
            return ["reveal", "--n", n, "--format", form, "--command", command, *more]

        def calc(arith):  # lamp calc as a black box
            return f"""sed 's/^{{/{{"op":"dot","arith":{arith},/' | {LAMP} calc"""

        for form, arith, tree, order in (
                ("binary32", '{"format":"binary32"}', "(0 1 2 3 4 5 6 7 8)", "sequential"),
                ("ps7", '{"preset":"lamp-paper","mu":7,"order":"lanes:2"}', "(0 2 4 6 8 (1 3 5 7))", "lanes:2"),
                ("binary32", '{"format":"binary32","order":"tree:(0 1 (2 3 4 5) (6 8 7))"}', "(0 1 (2 3 4 5) (6 8 7))", None),
                ("binary32", '{"format":"binary32","order":"fused-tree:(0 1 (2 3) (4) (5 6 7 8))"}', "(0 1 (2 3) 4 (5 6 7 8))", None),
                ("ps7", '{"format":"ps7","order":"kahan"}', "(0 1 2 3 4 5 6 7 8)", "kahan"),
                ("ps7", '{"format":"ps7","order":"exact"}', None, "exact"),
                ("binary16", '{"engine":"a100","operands":"binary16","format":"binary32"}', "{{0 1 2 3 4 5 6 7} 8}", None)):
            done = lamp(*reveal(calc(arith), "--json", form=form))
            answer = json.loads(done.stdout)
            if tree is not None and "(6 8 7)" in tree:
                self.assertIn("(6 8 7)", answer["tree"])
            if "fused-tree" not in arith:
                self.assertEqual((done.returncode, answer["same_bits"], answer["of"]), (0, 1000, 1000), answer)
            if order is not None:
                self.assertEqual(answer["arith"]["order"], order)
        text = lamp(*reveal(calc('{"format":"binary32"}'), n=300)).stdout.decode()  # more than a pipe holds, both ways
        for words in ("tree: (0 1 2", "└─ 0, 1, .., 299", "order: sequential", "bits: 1000 of 1000", "[arithmetic.revealed]"):
            self.assertIn(words, text)

        self.refused(65, ["ended with exit code 3"], *reveal("exit 3"))
        self.refused(65, ["0 answers to 1 lines"], *reveal("true"))
        self.refused(65, ["0 answers to 1 lines"], *reveal("cat > /dev/null"))
        self.refused(65, ['answer 1 is "abc"', "legal: a number"], *reveal("sed s/.*/abc/"))
        self.refused(1, ["no summation tree", "sum of 9 units"], *reveal("sed s/.*/0.5/"))
        self.refused(1, ["no summation tree"], *reveal("sed s/.*/7/"))
        self.refused(65, ["ended by signal 9"], *reveal("kill -9 $$"))
        for n in ("0", "4097", "x"):
            self.refused(2, ["--n", "legal: 1 to 4096"], *reveal("true", n=n))
        self.refused(2, ["--format", "binary33"], *reveal("true", form="binary33"))
        self.refused(2, ["--command is empty"], *reveal(""))
        self.refused(65, ["no +M and -M"], *reveal("true", form="ue4m3"))

    def test_config_files(self):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "c.toml"
            self.refused(66, ["lamp run: ", "no such config file"], "run", config)
            self.refused(65, ["is a folder"], "run", folder)
            config.write_text("title = 7\n")
            self.refused(65, [f"lamp run: {config}:1:9: title: the integer 7"], "run", config)
            os.remove(config)
            os.mkfifo(config)
            self.refused(65, ["not a regular file"], "run", config)
        self.refused(65, ["--set tokens.sequencs: unknown key", "tokens.sequences"], "run", CONFIG, "--set", "tokens.sequencs=2")
        self.refused(65, ["--set arithmetic.low.mu: 24 is out of range", "1 to 23"], "run", CONFIG, "--set", "arithmetic.low.mu=24")
        self.refused(65, ["plan.layer.9.scores: layer 9", "legal: 0 to 3"], "run", CONFIG, "--set", "plan.layer.9.scores=low")
        self.refused(66, ["nowhere"], "run", CONFIG, "--set", "model.path=/nowhere")
        self.refused(65, ['record.errors: "kl" is no site but a metric'], "plan", CONFIG, "--set", 'record.errors=["kl"]')

    def test_a_whole_layer(self):
        """plan.layer.N, whose sites go before it, whichever comes first."""
        def evaluated(*keys):
            sets = [word for key in keys for word in ("--set", key)]
            done = lamp("plan", CONFIG, "--json", *sets)
            self.assertEqual(done.returncode, 0, done.stderr)
            return [(row["what"], row["evaluation"], row["arithmetics"]) for row in json.loads(done.stdout)["products"]]

        plain, layer = evaluated(), evaluated("plan.layer.1=low")
        self.assertNotEqual(plain, layer)
        self.assertEqual(layer, evaluated('plan."layer.1"=low'))
        self.assertEqual(evaluated("plan.layer.1=low", "plan.layer.1.qkv=high"), evaluated("plan.layer.1.qkv=high", "plan.layer.1=low"))
        self.assertNotEqual(layer, evaluated("plan.layer.1=low", "plan.layer.1.qkv=high"))
        self.refused(65, ["plan.layer.4: layer 4", "legal: 0 to 3"], "plan", CONFIG, "--set", "plan.layer.4=low")

    def test_config_lists_every_key(self):
        keys = [field["key"] for field in json.loads(lamp("config", "--json").stdout)["fields"]]
        self.assertEqual(len(keys), len(set(keys)))
        text = lamp("config").stdout.decode()
        for key in keys:
            self.assertIn(key, text)
        for key in ("schema_version", "title", "seed", "model.path", "model.activation", "tokens.source", "tokens.path",
                    "tokens.sequence_length", "tokens.sequences", "tokens.offset", "tokens.shuffle", "reference.arithmetic",
                    "arithmetic.NAME.mu", "arithmetic.NAME.format", "plan.default", "plan.SITE", "lamp.SITE.tau", "lamp.SITE.rate",
                    "lamp.SITE.recompute", "grid.KEY", "record.errors", "record.where", "truth.end_to_end"):
            self.assertIn(key, keys)

    def test_version(self):
        info = json.loads(lamp("version", "--json").stdout)
        self.assertEqual(set(info), {"version", "commit", "dirty", "compiler", "flags", "build_type", "target", "semantics", "libraries"})
        self.assertIn("-ffp-contract=off", info["flags"])
        self.assertEqual(info["version"], lamp("--version").stdout.decode().split()[1])

    def test_tokenize(self):
        text = "Hello, wörld\n\n  two  spaces <|endoftext|>\n".encode()
        ids = lamp("tokenize", NANO, data=text).stdout
        self.assertEqual(lamp("tokenize", NANO, "--decode", data=ids).stdout, text)
        special = lamp("tokenize", NANO, "--special", data=text).stdout
        self.assertEqual(lamp("tokenize", NANO, "--decode", data=special).stdout, text)
        self.assertIn(b" 4095", special)
        self.assertNotIn(b"4095", ids)
        self.assertEqual(lamp("tokenize", NANO, data=b"").stdout, b"\n")
        self.assertEqual(lamp("tokenize", NANO, "--decode", data=b"").stdout, b"")
        for word in ("4096", "-1", "4x", "+4", "1e1", "1,2", "99999999999999999999"):
            self.refused(65, ["standard input, byte 2: ", "legal: 0 to 4095"], "tokenize", NANO, "--decode", data=b"1 " + word.encode())
        self.refused(65, ["lamp tokenize: standard input"], "tokenize", NANO, data=b"\xff")
        self.refused(66, ["/nowhere"], "tokenize", "/nowhere")
        self.refused(2, ["--special"], "tokenize", NANO, "--decode", "--special")

    def test_inspect_a_model(self):
        info = json.loads(lamp("inspect", NANO, "--json").stdout)
        config = json.loads((NANO / "config.json").read_text())
        for key in ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head"):
            self.assertEqual(info[key], config[key])
        header = (NANO / "model.safetensors").read_bytes()
        tensors = json.loads(header[8:8 + int.from_bytes(header[:8], "little")])
        ignored = (".attn.bias", ".attn.masked_bias", "__metadata__", "lm_head.weight")
        count = 0
        for name, tensor in tensors.items():
            if not name.endswith(ignored):
                size = 1
                for n in tensor["shape"]:
                    size *= n
                count += size
        self.assertEqual(info["parameters"], count)
        self.assertEqual(info["tokenizer"]["vocab_size"], config["vocab_size"])
        self.refused(66, ["/nowhere"], "inspect", "/nowhere")

    def test_standard_output_that_fails(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([str(LAMP), "config"], stdout=full, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (74, b"lamp config: writing to standard output failed\n"))

    def test_no_color(self):
        for environment in ({}, {"NO_COLOR": "1"}):
            done = lamp("-h", env={**os.environ, **environment})
            self.assertNotIn(b"\x1b", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
