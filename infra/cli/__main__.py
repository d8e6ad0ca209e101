"""`python -m infra.cli` is `skyfleet`."""

from infra.cli import main

if __name__ == "__main__":
    main()
