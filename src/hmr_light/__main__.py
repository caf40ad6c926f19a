"""`python -m hmr_light` is the same as `hmr-light`."""

from hmr_light.cli import main

if __name__ == "__main__":
    main()
