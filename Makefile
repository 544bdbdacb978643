# Everything runs from a fresh clone with Go alone; what else is needed is installed where that is allowed.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL: # the two cores are in use as it is, and output stays readable

# The modules that are built and tested. The two tools have no code.
MODULES := $(filter-out tools examples/tools,$(patsubst %/go.mod,%,$(wildcard ./go.mod */go.mod */*/go.mod)))

# Two packages at a time: a test package has a PostgreSQL server of its own.
PARALLEL := -p 2

TOOLS := .bin/.built

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: postgres ## Run the example server on http://localhost:8080
	go run ./examples/server

.PHONY: test
test: postgres pgbouncer chromium compiler build vet lint tidy cover vuln ## Run every check: what CI runs
	@scripts/summary.sh $(MODULES)

# The inner loop. What it leaves out is what needs PostgreSQL, a browser or the race detector.
.PHONY: quick
quick: build vet ## Build, vet, and run the tests that need no server and no browser: two minutes at most
	@scripts/quick.sh

.PHONY: build
build: ## Build every module
	@for m in $(MODULES); do echo "build $$m"; go -C $$m build $(PARALLEL) -o /dev/null ./... || exit; done

.PHONY: vet
vet: ## Vet every module, and what is different on macOS
	@for m in $(MODULES); do echo "vet $$m"; go -C $$m vet $(PARALLEL) ./... || exit; done
	GOOS=darwin go vet $(PARALLEL) ./internal/devpg

.PHONY: lint
lint: $(TOOLS) ## Run the linters of .golangci.yaml, look for sleeping tests, and read comments and pages
	@go test -count=1 ./internal/prose
	@files=$$(grep -rl --include='*.go' 'time\.Sleep(' . | xargs -r grep -L '"testing/synctest"' || true); \
		if [[ -n "$$files" ]]; then echo "lint: sleeps outside of a testing/synctest bubble:" $$files; exit 1; fi
	@for m in $(MODULES); do echo "lint $$m"; (cd $$m && $(CURDIR)/.bin/golangci-lint run ./...) || exit; done

.PHONY: fmt
fmt: $(TOOLS) ## Format the code
	@for m in $(MODULES); do (cd $$m && $(CURDIR)/.bin/golangci-lint fmt ./...) || exit; done

# Not in tools: that would fetch what the tests of a hundred linters need.
.PHONY: tidy
tidy: ## Check that each go.mod is tidy
	@for m in $(MODULES); do echo "tidy $$m"; GOWORK=off go -C $$m mod tidy -diff || exit; done

# provision takes longest, so it begins first. A statement counts as covered by a test of any package of its module.
.PHONY: cover
cover: postgres pgbouncer chromium compiler ## Run the tests, with statement coverage and, if it can, the race detector
	@mkdir -p .bin; rm -f .bin/coverage-*; race=-race; scripts/ensure.sh has compiler || race=; for m in $(MODULES); do \
		echo "test $$m"; profile=$(CURDIR)/.bin/coverage-$${m//[.\/]/_}; longest=; [[ $$m != . ]] || longest=./provision; \
		go -C $$m test $(PARALLEL) $$race -shuffle=on -timeout=25m -covermode=atomic -coverpkg=./... -coverprofile=$$profile $$longest ./... || exit; \
	done
	@awk '!/^mode:/ {size[$$1] = $$2; if ($$3 > 0) run[$$1] = 1} END {for (at in size) {n += size[at]; if (at in run) c += size[at]}; printf "coverage in total: %.1f%% of %d statements\n", 100 * c / n, n}' \
		.bin/coverage-* | tee .bin/coverage

# The long forms take the machine for themselves: half an hour to a few hours. Each prints its figures as a table.
.PHONY: soak crash attack
soak: postgres pgbouncer compiler ## Load and faults on the resolver and the feed, in their long form: docs/experiments.md
	scripts/figures.sh 180 . ./tenancy ./internal/connbudget ./registry/... ./internal/catalog ./middleware
crash: postgres compiler ## Kill and hurt provisioning at every point, in its long form: docs/experiments.md
	RACE= scripts/figures.sh 240 . ./provision/...
attack: postgres compiler ## Tokens, passwords, e-mails and secrets under attack, in their long form: docs/experiments.md
	scripts/figures.sh 120 . ./authn/... ./registry/... ./internal/catalog ./middleware ./internal/secrecy
	scripts/figures.sh 120 'TestAttacker|TestRoleOfATenant|TestNamesAre|TestRowThat|TestAllPasswords|TestHostileRow' ./provision ./tenancy
	cd examples && ../scripts/figures.sh 30 'TestNoRequest|TestAttacker' ./server

.PHONY: nightly
nightly: ## Run what a night allows: fuzz tests, mutants, PostgreSQL's versions, pgx's modes and the long forms
	for target in fuzz mutants versions modes attack crash soak; do $(MAKE) $$target || failed+=" $$target"; done; \
		[[ -z "$${failed:-}" ]] || { echo "nightly: failed:$$failed"; exit 1; }

.PHONY: versions
versions: pgbouncer ## Run the short tests on PostgreSQL 14, 16, 17 and 18, on Linux on x86-64: half an hour
	scripts/versions.sh

.PHONY: modes
modes: postgres pgbouncer chromium compiler ## Run the short tests in each mode in which pgx runs statements: an hour
	scripts/modes.sh

.PHONY: mutants
mutants: postgres pgbouncer ## Take each mechanism out of a copy, and watch a named test fail: 20 min
	go run ./internal/mutants

# Each fuzz test for half a minute; what it finds goes into testdata, to be committed.
.PHONY: fuzz
fuzz: compiler ## Run every fuzz test for 30 s
	@grep -rlE --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u | while read -r dir; do \
		grep -hoE '^func Fuzz\w+' $$dir/*_test.go | cut -c6- | sort -u | while read -r name; do \
			echo "fuzz $$dir $$name"; \
			go -C $$dir test -run='^$$' -fuzz="^$$name$$" -fuzztime=30s -fuzzminimizetime=1s . || exit; \
		done || exit; \
	done

.PHONY: bench
bench: postgres pgbouncer ## Measure every figure of docs/benchmarks.md beside its rivals: 15 min, on an idle machine
	go -C bench run . -o results.json -doc ../docs/benchmarks.md

.PHONY: vuln
vuln: $(TOOLS) ## Look for known vulnerabilities, where the database can be reached
	@scripts/vulncheck.sh $(MODULES)

.PHONY: postgres pgbouncer chromium compiler
postgres: ## Make sure that PostgreSQL can be found
pgbouncer: ## Find or install PgBouncer, or say what is left out without it
chromium: ## Find or install a browser, or say what is left out without it
compiler: ## Find or install a C compiler, or say what is left out without it
postgres pgbouncer chromium compiler:
	@scripts/ensure.sh $@

# The tools are built from tools/go.mod, which pins them and what they are made of.
$(TOOLS): tools/go.mod
	GOWORK=off GOBIN=$(CURDIR)/.bin go -C tools install $(PARALLEL) tool
	@touch $@

.PHONY: clean
clean: ## Remove what was built
	rm -rf .bin
