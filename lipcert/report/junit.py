"""A report as JUnit XML: one test case per input, for the pages of build servers."""

from junitparser import Failure, JUnitXml, TestCase, TestSuite

from lipcert.certificate.verdict import Verdict
from lipcert.report.report import Report


def junit(report: Report, name: str) -> str:
    """JUnit XML of one suite; a row that is refuted or unproved is a failure of that type.

    Args:
        report: the certificate and the allowed drift.
        name: of the suite, such as the compressed network's file.
    """
    suite = TestSuite(name)
    suite.add_property("verdict", report.sentence)  # schemas want properties first
    for warning in report.warnings:
        suite.add_property("warning", warning)
    for number, row in enumerate(report.rows):
        suite.add_testcase(_case(number, row.verdict, report.around(number, row), name))
    document = JUnitXml("lipcert")
    document.add_testsuite(suite)
    document.update_statistics()
    return document.tostring().decode()


def _case(number: int, verdict: Verdict, words: str, suite: str) -> TestCase:
    case = TestCase(f"input {number}", classname=suite)
    if verdict is not Verdict.PROVED:
        case.result = [Failure(words, str(verdict))]
    case.system_out = words  # schemas want it behind the failure
    return case
