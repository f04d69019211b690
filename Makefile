# Thin: every target calls a script or a module. `make help` lists them.
.DEFAULT_GOAL := help
UV := $(shell command -v uv 2>/dev/null || echo $(CURDIR)/.venv-tools/bin/uv)
RUN := $(UV) run --frozen
E2E := $(RUN) --directory e2e python -m

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "%-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing (Debian packages, Go, uv, Python environment)
	@tools/setup.sh

demo: setup ## a real Kubernetes on this machine, the chart, a LoadBalancer, and traffic through it
	@$(E2E) demo

demo-on-cluster: setup ## install the chart on the cluster of KUBECONFIG and say what its nodes lack
	@$(E2E) demo --on-cluster

down: ## end the demo and leave the host as it was
	@$(E2E) cluster down

test: setup ## every test
	@tools/test.sh

lint: setup ## static checks
	@tools/lint.sh

fix: setup ## static checks; mends what can be mended
	@tools/lint.sh fix

build: setup ## the forwarder
	@tools/build-forwarder.sh

golden: setup ## rewrite the golden files; review the difference
	@GOLDEN=rewrite $(RUN) pytest -q -m "not apiserver and not cluster" operator charts

packets: setup build ## rewrite the packet cases from cases.py and the model; review the difference
	@$(RUN) --directory lb_image/forwarder/tests python -m packets

bench: setup build ## on-CPU ns per packet, beside testpmd; writes build/bench.json
	@$(RUN) --directory lb_image/forwarder/tests python -m bench

bench-control: setup build ## the control plane on a real API server, up to 5,000 Services; writes build/bench-control.json
	@$(RUN) --directory operator/tests python -m control_bench

e2e: setup ## the end-to-end suites
	@$(RUN) pytest e2e/suites

chaos: setup ## faults under a steady load, what each costs clients; writes build/chaos.json
	@$(E2E) chaos

soak: setup ## half an hour of changes under a steady load: nothing may grow; writes build/soak.json
	@$(E2E) soak

.PHONY: soak chaos help setup demo demo-on-cluster down test lint fix build golden packets bench bench-control e2e
