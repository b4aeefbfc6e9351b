"""glomseg doctor."""

from glomseg.cli.console import say, say_json, show_table


def doctor(*, json: bool = False) -> int:
    """Check this machine: what works, what will be slow, what is missing, and how to mend it.

    Exits with 1 if something is missing.

    Parameters
    ----------
    json
        Print the checks as JSON.
    """
    from dataclasses import asdict

    from glomseg.steps.doctor import check_machine, is_healthy

    checks = check_machine()
    if json:
        say_json([asdict(check) for check in checks])
    else:
        rows = [[item.name, item.status, item.found] for item in checks]
        show_table("this machine", ["check", "status", "found"], rows, n_left=3)
        for item in checks:
            if item.remedy:
                say(f"{item.name}: {item.remedy}")
    return 0 if is_healthy(checks) else 1
