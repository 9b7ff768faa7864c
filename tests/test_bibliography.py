"""Every source can be found: by a DOI where it has one, and all identifiers have the form that resolves."""

import re
from pathlib import Path

import pytest

BIBLIOGRAPHY = Path(__file__).parents[1] / "book" / "references.bib"
# Looked up; none of these has a DOI of its own, of this edition.
WITHOUT_DOI = {
    "hebb1949": "a book of before DOIs",
    "sutton2018": "a book; its ISBN",
    "widrow1960": "a convention record; the author's scan",
    "marcus1993": "the anthology of the journal gives none",
    "pedregosa2011": "the journal gives none",
    "holm1979": "only its place in an archive",
    "jordan2024": "a page",
}
FORMS = {
    "doi": r"10\.\d{4,9}/[-._;()/:A-Za-z0-9]*[A-Za-z0-9]",  # bare, without https://doi.org/ and full stop
    "eprint": r"\d{4}\.\d{4,5}",  # of arXiv since 2007, without a version
    "url": r"https://[^\s{}]+",
    "year": r"(19|20)\d{2}",
    "pages": r"[A-Za-z]?\d+(--\d+)?",
    "isbn": r"97[89](-\d+){3}-\d",
}


def entries(text):
    """Key -> field -> value of a file with one field a line."""
    found = {}
    for key, body in re.findall(r"@\w+\{([^,\s]+),\n(.*?)\n\}", text, flags=re.DOTALL):
        assert key not in found, f"{key} stands twice"
        fields = re.findall(r"^  (\w+) = \{(.*)\},?$", body, flags=re.MULTILINE)
        assert len(fields) == len(body.splitlines()), f"a field of {key} is not on a line of its own"
        found[key] = dict(fields)
    return found


KNOWN = entries(BIBLIOGRAPHY.read_text(encoding="utf-8"))


def faults(fields):
    """What is wrong with the identifiers of an entry."""
    wrong = [
        name
        for name, form in FORMS.items()
        if name in fields and re.fullmatch(form, fields[name], re.ASCII) is None
    ]
    if ("eprint" in fields) != (fields.get("archiveprefix") == "arXiv"):
        wrong.append("archiveprefix")
    if fields.get("isbn"):
        digits = [int(digit) for digit in fields["isbn"] if digit.isdigit()]
        if len(digits) != 13 or sum(d * (1, 3)[n % 2] for n, d in enumerate(digits)) % 10:
            wrong.append("isbn")
    if "doi.org" in fields.get("url", ""):
        wrong.append("url")
    return wrong


def test_the_whole_file_is_read():
    text = BIBLIOGRAPHY.read_text(encoding="utf-8")
    assert len(KNOWN) == text.count("@") > 40


@pytest.mark.parametrize("key", KNOWN)
def test_every_source_can_be_found(key):
    fields = KNOWN[key]
    assert {"author", "title", "year"} <= fields.keys()
    assert faults(fields) == []
    assert {"doi", "eprint"} & fields.keys() or key in WITHOUT_DOI
    if key in WITHOUT_DOI:
        assert {"url", "isbn", "publisher"} & fields.keys()


def test_no_exception_has_a_doi_after_all():
    assert not [key for key in WITHOUT_DOI if {"doi", "eprint"} & KNOWN[key].keys()]


def test_two_sources_never_share_an_identifier():
    for name in ("doi", "eprint", "url", "isbn"):
        held = [fields[name].lower() for fields in KNOWN.values() if name in fields]
        assert len(held) == len(set(held)), name


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"doi": "https://doi.org/10.1007/BF00275687"}, ["doi"]),
        ({"doi": "10.1007/BF00275687."}, ["doi"]),
        ({"doi": "10.1007 /BF00275687"}, ["doi"]),
        ({"doi": "BF00275687"}, ["doi"]),
        ({"eprint": "arXiv:1804.02464", "archiveprefix": "arXiv"}, ["eprint"]),
        ({"eprint": "1804.02464v2", "archiveprefix": "arXiv"}, ["eprint"]),
        ({"eprint": "1804.02464"}, ["archiveprefix"]),
        ({"isbn": "978-0-262-03924-7"}, ["isbn"]),
        ({"url": "http://jmlr.org/"}, ["url"]),
        ({"url": "https://doi.org/10.1007/BF00275687"}, ["url"]),
        ({"pages": "267-273"}, ["pages"]),
        ({"doi": "10.1007/3-540-44668-0_13", "year": "2001", "pages": "87--94"}, []),
    ],
)
def test_identifiers_of_another_form_are_noticed(fields, wrong):
    assert faults(fields) == wrong
