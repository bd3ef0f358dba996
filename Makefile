# The commands that one needs to know; each sets up what it needs first. `make help` lists them.

STACK := .venv/bin/python -m dbaas.manage.stack
BIN := .venv/bin
# In a process of its own: its threads must not import what others have pytest rewrite.
OPENAPI := tests/contract/test_openapi.py
# Most tests wait most of the time: these are made side by side, each row in its order.
ONE_ROW := $(wildcard tests/contract tests/functional)
OTHER_ROW := $(wildcard tests/unit tests/chaos)
# Seconds after which a single test is taken to hang.
PATIENCE ?= 1200
# The same, where the first test waits for a whole OpenStack and guests' processors are emulated.
PATIENCE_OPENSTACK ?= 3600
PYTEST = $(BIN)/pytest -p no:cacheprovider --timeout=$(PATIENCE)

.DEFAULT_GOAL := help
.PHONY: help setup demo up down status logs clean test test-openstack lint types sample unit contract \
	functional chaos

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

setup: ## install packages, the virtual environment and the guests' root filesystem
	@etc/host/bootstrap

demo: up ## start the stack, run the main job on it and show what happens
	@$(BIN)/python -m dbaas.cli.demo

up: setup ## start the single-host stack in .run/, and what of it is not running
	@$(STACK) up

down: ## stop the stack; its state and guests come back with "make up"
	@[ ! -d .run ] || $(STACK) down

status: ## show the stack's programs and guests
	@[ -d .run ] && $(STACK) status || true

logs: ## follow all logs of the stack
	@$(STACK) logs

clean: ## stop the stack and remove all of its data
	@[ ! -d .run ] || $(STACK) clean

test: setup lint types sample ## check and test everything but what needs OpenStack
	@$(BIN)/python -m tests.lanes "$(PYTEST) --ignore=$(OPENAPI) $(ONE_ROW)" \
		"$(PYTEST) -q $(OPENAPI)" "$(PYTEST) -q $(OTHER_ROW)"

test-openstack: setup ## prove it on the OpenStack that OS_* variables name, or on a box of its own
	@$(BIN)/pytest --timeout=$(PATIENCE_OPENSTACK) tests/openstack

lint: setup ## check style and the direction of imports
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/lint-imports --no-logo

types: setup ## check types
	@$(BIN)/mypy

sample: setup ## check that the generated files under etc/ are up to date
	@$(BIN)/python -m dbaas.manage.sample --check

unit contract functional chaos: setup
	@$(BIN)/pytest --timeout=$(PATIENCE) tests/$@
