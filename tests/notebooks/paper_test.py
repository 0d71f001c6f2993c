"""notebooks/paper: the form that JOSS asks for, the authors of CITATION.cff, and each measured claim with its command and its place."""
import pathlib
import re
import shlex
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAPER = (ROOT / "notebooks/paper/paper.md").read_text()
HEAD, BODY = PAPER.split("\n---\n", 1)
SECTIONS = ["Summary", "Statement of need", "State of the field", "Software design", "Research impact statement", "AI usage disclosure",
            "Acknowledgements", "References"]


def claims(text):
    """(command, file, words of it) of every comment."""
    return [(command, file, re.findall(r'"([^"]+)"', words))
            for command, file, words in re.findall(r'<!-- measured: (.+?); recorded: (\S+) (".+") -->', text)]


def missing(file, words):
    """Words that a file has not; white space and Markdown's emphasis count for nothing."""
    def plain(text):
        return " ".join(text.replace("*", "").replace("`", "").split())
    text = plain((ROOT / file).read_text())
    return [word for word in words if plain(word) not in text]


class Paper(unittest.TestCase):
    def test_sections_in_order(self):
        self.assertEqual(re.findall(r"^# (.+)$", BODY, re.MULTILINE), SECTIONS)
        words = len(re.sub(r"<!--.*?-->", "", BODY, flags=re.DOTALL).split())
        self.assertTrue(750 <= words <= 1750, words)

    def test_authors_are_those_of_the_citation(self):
        named = re.findall(r'^  - name: "(.+)"', HEAD, re.MULTILINE)
        self.assertEqual(named, re.findall(r'^  - name: "(.+)"', (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
        self.assertGreater(len(named), 0)

    def test_citations_and_references(self):
        cited = set(re.findall(r"@(\w+)", BODY))
        self.assertEqual(cited, set(re.findall(r"^@\w+\{(\w+),", (ROOT / "notebooks/paper/paper.bib").read_text(), re.MULTILINE)))

    def test_claims_stand_where_they_were_recorded(self):
        self.assertEqual(len(claims(BODY)), BODY.count("<!--"))
        self.assertGreaterEqual(len(claims(BODY)), 9)
        for command, file, words in claims(BODY):
            self.assertEqual(missing(file, words), [], file)
            self.assertGreater(len(words), 0)
            for word in shlex.split(command):  # files that the command names
                if "/" in word and not word.startswith(("build/", "runs/", "DIR", "/")):
                    self.assertTrue((ROOT / word).exists(), word)
        for image in re.findall(r"!\[.*?\]\((.+?)\)", BODY):
            self.assertTrue((ROOT / "notebooks/paper" / image).exists(), image)

    def test_the_checker_sees_a_number_that_nobody_measured(self):
        (_, file, words), *_ = claims(BODY)
        self.assertEqual(missing(file, [*words, "1234567 to 8"]), ["1234567 to 8"])

    def test_every_number_of_a_result_has_its_claim(self):
        """A paragraph with a measured number (a multiple, a share, an interval) ends in a comment."""
        for paragraph in BODY.split("\n\n"):
            if re.search(r"\d times|\d %|\[\d|\d,\d{3} outputs|differs in up to", re.sub(r"<!--.*?-->", "", paragraph, flags=re.DOTALL)):
                self.assertIn("<!-- measured:", paragraph)


if __name__ == "__main__":
    unittest.main()
