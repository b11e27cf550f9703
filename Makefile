# Every target is a line that a person could type; `make help` lists them.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Type checkers and editors cannot follow an editable install whose package is the repository's
# root; they read these links instead (mypy_path in setup.cfg, extraPaths in pyproject.toml).
LINKED = automation delivery domain eventlog http projections \
	__init__.py __main__.py bootstrap.py py.typed settings.py

.DEFAULT_GOAL = help
.PHONY: help run demo test coverage lint format bench chaos screenshots picture venv links lock clean

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" \
		read -r target text; do printf '  make %-11s %s\n' "$$target" "$$text"; done

run: $(VENV)/.installed ## start Kanal on SQLite in ./data, http://127.0.0.1:8080
	@exec $(BIN)/kanal serve

demo: $(VENV)/.installed ## start Kanal with five weeks of a small company, and an example chat
	@exec $(BIN)/python demo/demo.py $(ARGS)

test: $(VENV)/.installed-dev ## run the whole test suite (ARGS="..." goes to pytest)
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --durations=20 $(ARGS)

coverage: ## as test, half as fast again, and see that the tests reach enough of the code
	$(MAKE) test ARGS="--cov --cov-report=term $(ARGS)"

lint: $(VENV)/.installed-dev links ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.installed-dev ## put the code into the project's form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.installed-dev ## measure Kanal beside bare baselines
	@exec $(BIN)/python bench/run.py

chaos: $(VENV)/.installed-dev ## kill Kanal a thousand times in half an hour and see whether a webhook is lost (ARGS="--kills 50 --minutes 2")
	@exec $(BIN)/python tests/chaos.py $(ARGS)

screenshots: $(VENV)/.installed-dev ## take pictures of all pages with chromium, into build/screenshots
	@PYTHONPATH=tests:demo $(BIN)/python tests/screenshots.py build/screenshots

picture: $(VENV)/.installed-dev ## take the README's picture anew
	@PYTHONPATH=tests:demo $(BIN)/python tests/screenshots.py build --readme docs/images/conversation.png

venv: $(VENV)/.installed-dev links ## make .venv with everything a developer needs

links:
	@mkdir -p .dev/kanal
	@for part in $(LINKED); do ln -sfn "../../$$part" ".dev/kanal/$$part"; done

lock: ## write constraints.txt anew with the newest versions
	$(PYTHON) -m venv --clear .dev/lock
	.dev/lock/bin/python -m pip install --quiet uv
	.dev/lock/bin/uv pip compile setup.cfg --extra dev --universal --python-version 3.11 \
		--upgrade --no-header --no-annotate --no-emit-index-url --quiet --output-file constraints.txt
	rm -rf .dev/lock

clean: ## remove what was built, .venv included; ./data stays
	rm -rf $(VENV) .dev build dist *.egg-info .coverage .coverage.* \
		.mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './data/*' -prune -exec rm -rf {} +

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { \
		echo "No '$(PYTHON)' here. Install Python 3.11 or newer, or say where it is:" \
			"make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Kanal needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
			"Say where a newer one is: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make virtual environments." \
			"On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.made setup.cfg pyproject.toml constraints.txt
	@echo "Installing Kanal into $(VENV), about a minute the first time"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.made setup.cfg pyproject.toml constraints.txt
	@echo "Installing Kanal and its development tools into $(VENV), a minute or two the first time"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.installed
