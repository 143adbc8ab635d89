# The shipped policies: one folder each beside this file, named <hook>-<name>. Included by the Makefile.

POLICIES := place-balanced place-pack place-spread-zones place-modelmesh \
  evict-cost-aware evict-lru evict-gdsf \
  status-modelmesh status-strict

# What the modules in C, Rust and AssemblyScript are made of: source (their compilers are downloaded once) or committed.
POLICIES_FROM ?= source

.PHONY: policies
policies: ## make the shipped policies in bin/policies and compare them with what is committed (POLICIES_FROM=committed needs Go only)
	@wasm-policies/toolchain/policies $(POLICIES_FROM) $(POLICIES)

.PHONY: policies-update
policies-update: ## compile the shipped policies and commit what comes out: their modules and wasm-policies/DIGESTS
	@wasm-policies/toolchain/policies update $(POLICIES)

.PHONY: policies-check
policies-check: ## compile the shipped policies anew and check that the committed modules are what comes out
	@rm -rf bin/policies
	@wasm-policies/toolchain/policies source $(POLICIES)
