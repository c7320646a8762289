"""`python -m kagglekit run | doctor`."""

import argparse
import sys


def main(arguments=None):
    """Run a command; return the exit code: 0, or 1 after printing an error; wrong arguments exit with 2."""
    parser = argparse.ArgumentParser(prog="kagglekit", description="From a competition's raw files to a submission.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="execute the notebooks in order and write a validated submission")
    run.add_argument("--competition", default="digits", help="built-in name, folder, or Kaggle slug (default: digits)")
    run.add_argument(
        "--effort", choices=("fast", "standard", "full"), help="effort of the baseline (default: the notebook's)"
    )
    run.add_argument(
        "--only", type=int, nargs="+", metavar="N", help="numbers of the notebooks to execute (default: all)"
    )
    run.add_argument("--setup-seconds", type=float, help=argparse.SUPPRESS)
    commands.add_parser("doctor", help="check versions, accelerators, mounts, weights and network")
    options = parser.parse_args(arguments)
    if options.command == "doctor":
        from kagglekit import doctor

        doctor.main()
        return 0
    from kagglekit import workflow

    try:
        workflow.run_notebooks(
            options.competition, effort=options.effort, only=options.only, setup_seconds=options.setup_seconds
        )
    except (workflow.NotebookFailed, ValueError, OSError) as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"{error}; install what the notebooks need: pip install 'kagglekit[notebooks]'", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
