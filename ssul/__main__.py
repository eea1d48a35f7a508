"""`python -m ssul`: the command `ssul`."""

from ssul.cli.app import main

if __name__ == "__main__":
    main()
