"""`python -m gpurec.cli`: the same as the script `gpurec`."""

from . import main

if __name__ == "__main__":
    main()
