# `dx build` runs the default target in this folder before it uploads src/ and resources/.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
# The worker's versions of the Python packages, and a matching samtools.
WORKER_VENV := .venv-worker
INSTALLED := $(VENV)/.installed
INSTALLED_FOR_REPORT := $(VENV)/.installed_for_report
INSTALLED_FOR_WORKER := $(WORKER_VENV)/.installed
EXAMPLE := .example/example.bam
comma := ,

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONPATH := $(CURDIR)/test:$(CURDIR)/resources/home/dnanexus
# Compiled files must not be left in resources/, because all of it is added to the applet's bundle.
export PYTHONDONTWRITEBYTECODE := 1
export BAM BAI PYTHON READS ROUNDS SEED CORES DRAWS RATE LATENCY RELEASE PART

.DEFAULT_GOAL := applet
.PHONY: applet help setup run shell test test-bare test-dnanexus bench bench-calls bench-cohort bench-streamed fuzz validate check lint format clean

applet:
	@find resources -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

setup: $(INSTALLED) ## install samtools and a virtual environment, used by run and lint

$(INSTALLED): test/requirements.txt test/setup.sh
	@test/setup.sh $(VENV)
	@touch $@

$(INSTALLED_FOR_REPORT): $(INSTALLED) test/report/requirements.txt
	@test/setup.sh $(VENV) report
	@touch $@

$(INSTALLED_FOR_WORKER): $(INSTALLED) test/requirements_of_worker.txt
	@test/setup.sh $(WORKER_VENV) worker
	@touch $@

run: $(INSTALLED) ## count BAM=... (BAI=...), or an example, on a local platform
	@test -n "$$BAM" || test -e $(EXAMPLE) || python test/example.py $(EXAMPLE)
	@BAM="$${BAM:-$(EXAMPLE)}" python -m local_platform exec -- test/run.sh

shell: $(INSTALLED) ## start a shell in which dx uses a local platform with the applet
	@python -m local_platform exec -- bash -c 'dx build . && exec bash'

# Runs all tests with the samtools of this machine; tests whose result can depend on the version of
# samtools or pysam are repeated with the worker's Python packages and samtools 1.18, and with the newest
# samtools. WITH_VERSION puts these first on the PATH. There are more processes than two cores could
# run, because tests with jobs also wait.
PYTEST := pytest -c test/pytest.ini --dist worksteal
WITH_VERSION = PATH="$(CURDIR)/$(1)/wheel:$(CURDIR)/$(1)/bin:$$PATH" $(PYTEST) -n 4 -m samtools --samtools

test: $(INSTALLED_FOR_REPORT) $(INSTALLED_FOR_WORKER) ## run the tests, with three versions of samtools
	@$(PYTEST) -n 6 test
	@test -e $(WORKER_VENV)/none || \
		$(call WITH_VERSION,$(WORKER_VENV)) 1.18 test/unit test/end_to_end/test_versions.py
	@$(call WITH_VERSION,$(VENV)) 1.24 test/unit test/end_to_end/test_versions.py

test-bare: ## run the README's commands on a bare Debian, as root (RELEASE=bookworm or trixie)
	@test/bare.sh

test-dnanexus: $(INSTALLED_FOR_REPORT) ## run the end-to-end tests in the selected project of dx
	@pytest -c test/pytest.ini test/end_to_end --dnanexus

bench: $(INSTALLED) ## benchmark against other tools (READS=6000000 ROUNDS=5)
	@python -m benchmark

bench-calls: $(INSTALLED) ## list a job's API requests, at 100 ms each (BEFORE=folder of an earlier version)
	@python -m benchmark.calls $(BEFORE) .

bench-streamed: $(INSTALLED) ## benchmark stream_bam and subjobs (RATE=50e6 LATENCY=0.02)
	@python -m benchmark.streamed

bench-cohort: $(INSTALLED) ## benchmark many samples in one job (READS=2000000 ROUNDS=5)
	@python -m benchmark.cohort

# What the fuzzer corrupts, and what it counts; commas stand for spaces.
FUZZ_ASKED := whole --filtered --spans --some --windows --index
FUZZ_MODES := $(FUZZ_ASKED) --index,--large $(addprefix --cram$(comma),$(FUZZ_ASKED)) \
	--csi --csi,--spans --csi,--some --streamed --streamed,--some --cram,--streamed,--some

fuzz: $(INSTALLED) ## corrupt a BAM and a CRAM N times in each mode and look for wrong counts (N=1000 SEED=1)
	@for mode in $(FUZZ_MODES); do \
		options=$$(sed 's/whole//; s/,/ /g' <<< "$$mode"); echo "fuzz $$options"; \
		python -m fuzz $(or $(N),1000) $(or $(SEED),1) $$options || exit 1; \
	done

validate: $(INSTALLED) ## check the cohort's statistics on simulated samples (DRAWS=200)
	@python -m validation

check: lint test ## lint and test

lint: $(INSTALLED) ## check style, types and spelling
	codespell
	ruff check
	ruff format --check
	mypy

format: $(INSTALLED) ## format the code
	ruff check --fix
	ruff format

clean: ## remove everything that these targets create, except results
	rm -rf $(VENV) $(WORKER_VENV) $(dir $(EXAMPLE)) samtools_count_cohort/resources .bench .fuzz .pytest_cache .hypothesis .mypy_cache .ruff_cache
