# SPDX-License-Identifier: Apache-2.0
# Two commands for a fresh Debian machine: `make demo` and `make test`. Everything else is for those who work on cygnet.
# The build itself is meson's; what stands here only calls it.
BUILD ?= build
PREFIX ?= /usr
JOBS ?= $(shell nproc)

.PHONY: all demo test test-peers fuzz quick bench install clean deps help

all: deps $(BUILD)/build.ninja  ## install what the build needs, then build
	@ninja -C $(BUILD) -j $(JOBS) $(if $(V),-v,--quiet)

demo: deps-demo $(BUILD)/build.ninja  ## a site-to-site VPN between network namespaces (KEEP=1 leaves it up)
	@ninja -C $(BUILD) -j $(JOBS) --quiet
	@KEEP=$(KEEP) tests/netns/demo $(BUILD)

test: deps-test  ## every test: units, sanitizers, fuzz smoke, simulator, namespaces with real peers
	@tools/test

test-peers: deps-test deps-peers  ## the cases with peers of other Debian releases and with ESP in a kernel (500 MB of them are made once)
	@tools/test peers

fuzz: all  ## every fuzz target with seeds that are new, MINUTES=60 in all
	@tools/fuzz $(BUILD) $(or $(MINUTES),60)

quick: all  ## unit tests only
	@meson test -C $(BUILD) --quiet

bench: deps-bench $(BUILD)/build.ninja  ## throughput and set-ups beside wireguard-go and strongSwan, as ratios
	@ninja -C $(BUILD) -j $(JOBS) --quiet all bench/bench-plane bench/bench-forward bench/bench-pace bench/bench-load
	@WIREGUARD_GO=$$(bench/fetch-wireguard-go $(BUILD)/bench/rival || command -v wireguard-go) bench/run $(BUILD) --plot $(BUILD)/bench/bench.svg
	@bench/handshakes $(BUILD)

install: all  ## programs, manual pages and the systemd unit below PREFIX
	@meson install -C $(BUILD) --no-rebuild

deps:
	@tools/deps build
deps-%:
	@tools/deps build $*

$(BUILD)/build.ninja:
	@meson setup $(BUILD) --prefix=$(PREFIX) >/dev/null || { meson setup $(BUILD) --prefix=$(PREFIX); exit 1; }

clean:
	rm -rf $(BUILD) build-*

help:  ## this list
	@awk -F'## ' '/^[a-z-]+:.*## /{split($$1,a,":"); printf "  make %-10s %s\n", a[1], $$2}' Makefile
