"""`python -m beauty_rec.cli`."""

from beauty_rec.cli.commands import main

if __name__ == "__main__":
    main()
