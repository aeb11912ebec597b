import pytest

_outcomes: dict[str, bool] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    is_fault = "faults/" in report.nodeid or "test_control_c" in report.nodeid
    if is_fault and (report.failed or (report.when == "call" and not report.skipped)):
        _outcomes[report.nodeid] = _outcomes.get(report.nodeid, True) and report.passed


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter") -> None:
    if _outcomes:
        terminalreporter.write_line(f"{len(_outcomes)} faults tried, {sum(_outcomes.values())} survived")
