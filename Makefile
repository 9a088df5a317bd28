# Everything a newcomer or a contributor does, one word each. `make` alone lists them.
# A fresh machine needs make and a shell; setup.sh brings the rest and asks before it installs system packages.

PY := .venv/bin/python
ARGS ?=
FILES := --dist loadfile --no-loadscope-reorder
BENCHMARKS := import_and_start slurm_up join_time pool_throughput collectives striped_store loader_on_store read_formats checkpoint training_steps ddp_against_torchrun widget_latency tracer_latency stepper_latency gpu_kernels
export YES PYTHON CUDA TORCH_INDEX

.DEFAULT_GOAL := help
.PHONY: help lab hub test check soak site mutants bench format clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile | expand -t 14
	@echo
	@echo 'YES=1 installs missing system packages without asking; PYTHON=... names the Python to build on;'
	@echo "ARGS='...' is passed on to hpclab lab or pytest."

lab: ## set up this machine and open the course in JupyterLab
	@sh ./setup.sh lab
	@exec $(PY) -P -m hpclab.cli lab $(ARGS)

hub: ## set up JupyterHub for a class on this host's Slurm; docs/hub.md says how it is started
	@sh ./setup.sh hub

# Many tests wait for Slurm or for processes: three files at a time, even on two cores.
test: ## set up and run everything: style, types, arrows, unit tests, notebooks, real Slurm, a real browser
	@sh ./setup.sh dev
	@style=0; $(MAKE) --no-print-directory lint || style=1; \
	limit="$$(command -v timeout || command -v gtimeout || true)"; \
	$${limit:+"$$limit" --foreground -s INT -k 60 2100} $(PY) -m pytest -q -n 3 $(FILES) --session-timeout=2000 $(ARGS) && exit $$style

check: ## what to run before every commit: style, types, arrows and the quick tests, in under a minute
	@sh ./setup.sh dev
	@$(MAKE) --no-print-directory lint
	@$(PY) -m pytest -q -n 2 $(FILES) -m 'not slurm and not browser and not slow' --session-timeout=300 $(ARGS)

.PHONY: lint
lint:
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --check --quiet .
	@$(PY) tests/lessons/canonical.py --check
	@$(PY) -m mypy
	@$(PY) -c 'from importlinter.cli import lint_imports_command as run; run()' >.venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }

format: ## put code and notebooks into the one style
	@sh ./setup.sh dev
	@$(PY) -m ruff check --fix --quiet .
	@$(PY) -m ruff format --quiet .
	@$(PY) tests/lessons/canonical.py

site: ## run every lesson and write the course as web pages, with the documentation, into build/site/html
	@sh ./setup.sh dev
	@$(PY) docs/pages.py $(ARGS)

soak: ## the long forms of tests, half an hour: every ending and place, every process suspended, forty Slurms, other sites
	@sh ./setup.sh dev
	@$(PY) -m pytest -q -n 2 --dist load -m soak $(ARGS)

mutants: ## put 200 random slips into copies of the code, and say which no test sees; an hour
	@sh ./setup.sh dev
	@$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[mutants]'
	@$(PY) tests/mutants.py $(ARGS)

bench: ## the measurements that the documentation states; see benchmarks/README.md
	@sh ./setup.sh dev
	@for name in $(BENCHMARKS); do echo "== $$name"; $(PY) "benchmarks/$$name.py" || exit 1; done

clean: ## take down your own Slurm, and remove .venv and every cache; your work in ~/hpclab stays
	@if [ -x $(PY) ]; then $(PY) -m hpclab.cli slurm down || true; fi
	@rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
