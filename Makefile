# `make help` lists the targets.
#
# Slow things (tools, Python environments, sample models) are built once on a machine and kept outside the clone, under
# ${XDG_CACHE_HOME:-~/.cache}/wasmesh, by pinned version; bin/ holds links to them. `make clean` leaves them alone.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The same flags for programs and tests, so that one build cache serves both.
GO_FLAGS := -trimpath
GO_BUILD := CGO_ENABLED=0 go build $(GO_FLAGS)
# A first build downloads some hundred modules; a line for each hides the phases.
NO_DOWNLOADS := 2>&1 | { grep -v '^go: downloading' || true; }

PROGRAMS := ./sdk/cmd/wasmesh ./host/cmd/wasmesh-host ./controller/cmd/wasmesh-controller ./runtimes/fake/cmd/fake-runtime

# Packages with goroutines of their own: tested with the race detector.
RACE ?= ./host/... ./controller/... ./runtimes/... ./sdk/cmd/... ./wasm-policies/engine ./wasm-policies/hook/...

# Those of them that assert what requests cost: tested without it as well, since it costs memory itself.
WITHOUT_RACE ?= ./host/ingress

# What `make bench` runs: a regular expression of benchmarks, and the packages to look in.
BENCH ?= .
BENCH_PACKAGES ?= ./...

# Flags for `make quickstart`; see bin/quickstart -help.
ARGS ?=

.PHONY: quickstart
quickstart: ## serve the tutorial's model with everything real, ask it over REST and gRPC, stay up until Ctrl-C
	@$(MAKE) -j2 quickstart-deps
	@exec bin/quickstart $(ARGS)

.PHONY: build
build: ## build the programs into bin/ (needs Go only)
	@echo "building bin/: $(notdir $(PROGRAMS))"
	@mkdir -p bin
	@$(GO_BUILD) -o bin/ $(PROGRAMS) $(NO_DOWNLOADS)
	@ln -sf wasmesh bin/kubectl-wasmesh

.PHONY: test
test: test-deps ## install what tests need and run them all, the concurrent packages with the race detector
	@$(GO_BUILD) -o bin/tools/testsum ./test/tools/testsum
	@others=$$(go list ./... | grep -vxFf <(go list $(RACE))); \
	bin/tools/testsum CGO_ENABLED=0 $(GO_FLAGS) -count=1 -timeout=20m $(WITHOUT_RACE) $$others \
	  -- CGO_ENABLED=1 -race -count=1 -timeout=30m $(RACE)

.PHONY: lint
lint: lint-format lint-vet lint-modules lint-protos generate-check ## check format, vet, staticcheck, go.mod, protos and generated code

.PHONY: bench
bench: ## run the benchmarks (BENCH=regexp BENCH_PACKAGES=./...); the last line is for programs: "figures: key=value ..."
	@go test $(GO_FLAGS) -run '^$$' -bench '$(BENCH)' -benchmem $(BENCH_PACKAGES) | awk -f test/tools/figures.awk

.PHONY: bench-policy
bench-policy: policies ## what a policy costs against the same policy in Go, what its fuel costs, and what a call does; all in one run
	@go test $(GO_FLAGS) -run '^$$' -bench '^BenchmarkPolicy$$' -benchmem ./wasm-policies/engine | awk -v bare=1 -f test/tools/figures.awk

# What bench-swap does: calls through generations that replace each other meanwhile.
SWAPS ?= 1000
CALLS ?= 1e8

.PHONY: bench-swap
bench-swap: ## replace a policy SWAPS times under CALLS calls, and look for a call that it hurts
	@go test $(GO_FLAGS) -run '^TestSwapRace$$' -v -timeout 20m ./wasm-policies/engine -args -swaps $(SWAPS) -calls $(CALLS)

# The trace that bench-eviction replays: a directory or a file, in one of the formats of test/bench/eviction/README.md.
TRACE ?= test/bench/eviction/traces/azure-functions-2019-500

.PHONY: bench-eviction
bench-eviction: policies ## replay a trace of requests against the eviction policies (TRACE=DIR); some minutes
	@go run $(GO_FLAGS) ./test/bench/eviction/cmd/bench-eviction -trace $(TRACE) -modules bin/policies

.PHONY: bench-placement
bench-placement: policies ## replay a trace on eight hosts and compare where models are placed (TRACE=DIR); some minutes
	@go run $(GO_FLAGS) ./test/bench/placement/cmd/bench-placement -trace $(TRACE) -modules bin/policies

.PHONY: bench-churn
bench-churn: build ## ask two hosts for ten times the models that fit, as fast as they answer
	@go run $(GO_FLAGS) ./test/bench/churn/cmd/bench-churn -bin bin

# One or more of the measurements of test/bench/mesh, separated by commas; all when empty.
ONLY ?=

.PHONY: bench-mesh
bench-mesh: build ## what several hosts do to requests: stampede, cold starts, isolation, kill, drain, step (ONLY=a,b)
	@go run $(GO_FLAGS) ./test/bench/mesh/cmd/bench-mesh -bin bin -only '$(ONLY)'

.PHONY: bench-scale
bench-scale: ## what 64 hosts with 20,000 copies say to each other
	@go run $(GO_FLAGS) ./test/bench/scale/cmd/bench-scale

# What sim plays: so many seeds from this one on.
SEEDS ?= 500
FIRST ?= 1

.PHONY: bench-objects
bench-objects: build tool-kubernetes ## 10,000 InferenceServices on a real API server: until all are reconciled, at rest, from an apply to the hosts
	@go run $(GO_FLAGS) ./test/bench/objects/cmd/bench-objects -bin bin

.PHONY: sim
sim: ## play SEEDS random schedules of a mesh with faults, from FIRST on, in virtual time, and check what must always hold
	@$(GO_BUILD) -o bin/tools/sim ./test/sim/cmd/sim
	@bin/tools/sim -seeds $(SEEDS) -first $(FIRST)

.PHONY: chaos
chaos: build ## cut a mesh in two for over a minute, in network namespaces of its own (needs root and iproute2)
	@$(GO_BUILD) -o bin/tools/partition ./test/chaos/cmd/partition
	@bin/tools/partition -bin bin

.PHONY: clean
clean: ## take the test cluster down, remove bin/ and .wasmesh/, never the cache that clones share
	@if [ -x bin/tools/cluster ]; then bin/tools/cluster down; fi
	rm -rf bin .wasmesh

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: generate
generate: tool-buf tool-protoc-gen-go tool-protoc-gen-go-grpc tool-controller-gen ## generate the Go code of the protos, deepcopy code and CRDs of the Kubernetes types, and codecs, SDKs and docs of the policy ABI
	@go generate ./sdk/policyabi ./sdk/policy
	@cd sdk/proto && PATH="$(CURDIR)/bin/tools:$$PATH" buf generate
	@bin/tools/controller-gen object crd paths=./sdk/apis/serving/v1beta1 output:crd:dir=charts/wasmesh/files/crds
	@# No descriptions: with those of a container's fields a CRD is too large for the annotation of kubectl apply.
	@bin/tools/controller-gen object crd:maxDescLen=0 paths=./sdk/apis/serving/v1alpha1 output:crd:dir=charts/wasmesh/files/crds

.PHONY: generate-check
generate-check: ## check that committed generated code is what `make generate` makes
	@test/tools/generate-check

.PHONY: lint-format
lint-format:
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "not formatted (gofmt -w):"; echo "$$unformatted"; exit 1; }

.PHONY: lint-vet
lint-vet: tool-staticcheck
	@go vet $(GO_FLAGS) ./...
	@bin/tools/staticcheck ./...

.PHONY: lint-modules
lint-modules:
	@go mod tidy -diff

.PHONY: lint-protos
lint-protos: tool-buf
	@cd sdk/proto && ../../bin/tools/buf lint

.PHONY: test-deps
test-deps: ## install what tests need: programs, versitygw, grpcurl, MLServer, sample models, shipped policies
	@$(MAKE) -j2 quickstart-deps tool-grpcurl tool-helm tool-images tool-kubernetes policies

.PHONY: quickstart-deps
quickstart-deps: build samples tool-versitygw
	@$(GO_BUILD) -o bin/quickstart ./test/quickstart $(NO_DOWNLOADS)

.PHONY: runtime-mlserver
runtime-mlserver: ## install MLServer where the launcher looks for runtimes (Python 3.11 or 3.12; PYTHON= names one)
	@runtimes/mlserver/install/install

.PHONY: samples
samples: runtime-mlserver ## train the sample models
	@test/samples/install

include wasm-policies/policies.mk

# Tools are pinned in test/tools/<tool>/go.mod.
tool-%: ## build one tool of test/tools and link it as bin/tools/<tool>
	@test/tools/install $*

# Images of our programs, as they are released.
IMAGES := wasmesh-host wasmesh-controller wasmesh

.PHONY: images
images: tool-images ## build the images of our programs for amd64 and arm64, without a container engine, into bin/images
	@test/images/build release $(IMAGES)

.PHONY: images-local
images-local: tool-images tool-versitygw samples ## build the images of the test cluster, for this machine, into bin/images/local
	@test/images/build local pause $(IMAGES) fake-runtime s3
	@test/images/mlserver

.PHONY: cluster-deps
cluster-deps: tool-kubernetes tool-coredns ## install what the test cluster runs on: Kubernetes (some minutes the first time), containerd
	@test/cluster/install
	@$(GO_BUILD) -o bin/tools/cluster ./test/cluster/cmd/cluster $(NO_DOWNLOADS)

CLUSTER_IMAGES = $(subst $(space),$(comma),$(wildcard bin/images/local/*.tar))
comma := ,
space := $(subst ,, )

.PHONY: cluster-up
cluster-up: cluster-deps images-local tool-helm build ## bring up a real Kubernetes of one node with our images, in namespaces of its own (root, Debian)
	@bin/tools/cluster up -images '$(CLUSTER_IMAGES)'

.PHONY: cluster-down
cluster-down: ## take the test cluster down, and everything that belongs to it
	@if [ -x bin/tools/cluster ]; then exec bin/tools/cluster down; else echo "no cluster was brought up from here"; fi

.PHONY: e2e
e2e: cluster-deps images-local tool-helm tool-grpcurl policies build ## do in a real cluster what users do (brings it up, and down again if it was down)
	@test/e2e/kubernetes/run '$(CLUSTER_IMAGES)'
