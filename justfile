# Short names for the commands of CONTRIBUTING.md; `just --list` shows them.

# An editable install with everything that development needs.
build:
    pip install --no-build-isolation -e '.[dev]'

# The whole suite, or the tests named.
test *ARGUMENTS='tests':
    pytest -q {{ARGUMENTS}}

# Style, types and the rules of the sources.
lint:
    ruff check .
    ruff format --check .
    pytest -q tests/rules

# Speed beside other libraries, which get an environment of their own below build/; bench/results/README.md tells.
bench:
    python bench/rivals.py --setup
    python bench/page.py --measure

# What a change must pass; with a part (sanitize, planted, fuzz, docs, conformance, metrics) its long form.
ci PART='':
    {{ if PART == "" { ".ci/run" } else { ".ci/full " + PART } }}
