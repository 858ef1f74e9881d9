"""Findings reach whoever runs a command, each once."""

import io

import pytest
from rich.console import Console

from adaptation.support.reading.findings import findings_of_success, found, kept_findings, printed_findings


def test_findings_are_printed_and_kept_once():
    output = io.StringIO()
    with printed_findings(Console(file=output)), kept_findings() as lines:
        found("masks: [2] levels")
        found("masks: [2] levels")
        found("poses: matrices")
    assert output.getvalue() == "found: masks: [2] levels\nfound: poses: matrices\n"
    assert lines == ["masks: [2] levels", "poses: matrices"]


def test_findings_of_refused_inputs_are_not_stated():
    with kept_findings() as lines:
        with pytest.raises(ValueError), findings_of_success():
            found("refused")
            raise ValueError
        with findings_of_success():
            found("taken")
            assert not lines
    assert lines == ["taken"]


def test_blocks_do_not_share_findings():
    with kept_findings() as first:
        found("a")
    with kept_findings() as second:
        found("b")
    assert (first, second) == (["a"], ["b"])
