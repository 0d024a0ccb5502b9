# Every target does its own set-up (cached under .venv and .cache). On Windows use WSL.
#
#   make demo [PROMPT="..."] [SEED=0] [COUNT=10] [PORT=...]   maps, the best map and an image into demo_output/
#   make test [TESTS="server browser"] [TEST_PROCESSES=0]     all tests, or only some folders of tests/; 0: in one process
#   make test-frontend [FRONTEND_TESTS=...]  tests of the page with a newer front end than the host's own
#   make bench      factor step against plain step, throughput, demo time, import time, memory
#   make bench-sd15 steps, decoding and memory at full size, random weights (3 GB on disk for a while, 12 GB of memory)
#   make bench-train a training step at full size, random weights, beside a loop that leaves the base's gradients on (12 GB)
#   make bench-search [BENCH_ARGS="--prompts 200 --part 0/2"]  what it costs to choose the map, beside other ways (hours; resumes)
#   make lint       ruff, import-linter, pyright
#   make eval-tiny  recall of the embedded models on held-out prompts (takes long)
#   make eval-joint joint against sequential sampling of map and picture
#   make eval-edits edits of maps and pictures by text, against img2img and recolouring

PYTHON ?= python3
VENV_PYTHON := .venv/bin/python
# Small files last, so that no process ends with a long one alone.
TESTS ?= server host browser unit repo
# One process a core, one thread each; see tests/conftest.py for what stays in one process. Three on two cores took longer.
TEST_PROCESSES ?= logical
TEST_SPREAD := -n $(TEST_PROCESSES) --maxprocesses 4 --dist loadfile --no-loadscope-reorder
FRONTEND_TESTS ?= browser
.DEFAULT_GOAL := help

# What a user writes freely reaches the demo through the environment, unexpanded: no quote, dollar or newline in it is ever
# read by make or by a shell. (What stands behind `make` would otherwise be exported once more, expanded.)
define hand_on
ifneq ($$(origin $(1)),undefined)
export FGDM_DEMO_$(1) := $$(value $(1))
unexport $(1)
endif
endef
$(foreach name,PROMPT SEED COUNT PORT,$(eval $(call hand_on,$(name))))

.PHONY: help demo test test-frontend bench bench-sd15 bench-train bench-search lint eval-tiny eval-joint eval-edits

help:
	@sed -n 's/^#   //p' Makefile

demo: setup-demo
	@$(VENV_PYTHON) -m tools.demo

test: setup-test
	@cd tests && OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} ../$(VENV_PYTHON) -m pytest $(TEST_SPREAD) $(TESTS) $(PYTEST_ARGS)

test-frontend: setup-frontend
	@cd tests && OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} ../$(VENV_PYTHON) -m pytest --newer-frontend $(FRONTEND_TESTS) $(PYTEST_ARGS)

bench: setup-demo
	@$(VENV_PYTHON) -m tools.bench

bench-sd15: setup-demo
	@$(VENV_PYTHON) -m tools.bench_sd15 $(BENCH_ARGS)

bench-train: setup-test
	@$(VENV_PYTHON) -m tools.bench_train $(BENCH_ARGS)

bench-search: setup-demo
	@$(VENV_PYTHON) -m tools.bench_search $(BENCH_ARGS)

lint: setup-lint
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/lint-imports && .venv/bin/pyright

eval-tiny: setup-demo
	@$(VENV_PYTHON) -m comfyui_fgdm.iconworld eval $(EVAL_ARGS)

eval-joint: setup-demo
	@$(VENV_PYTHON) -m tools.measure_joint $(EVAL_ARGS)

eval-edits: setup-demo
	@$(VENV_PYTHON) -m tools.eval_edits $(EVAL_ARGS)

setup-%:
	@$(PYTHON) tools/setup_env.py $*
