# `make demo` shows the system, `make test` proves it, `make bench` measures it, `make fuzz` feeds it
# noise, `make lint` reads it.
# What is missing on a fresh Debian machine with a Rust toolchain is installed by name first: see .ci/install.

VENV := $(CURDIR)/target/venv
OIDC := $(CURDIR)/target/oidc
ARGS ?=
# The OASIS cases of the KMIP 1.4 profiles.
KMIP_OASIS_CASES ?= $(abspath ../shared/kmip-oasis-1.4)
export KMIP_OASIS_CASES

.PHONY: demo test bench fuzz mutants-wide lint

demo:
	.ci/install build
	cargo build --release --locked --bin kcm
	target/release/kcm demo $(ARGS)

test:
	.ci/install build nextest postgres softhsm foreign oidc
	cargo build --workspace --bins --locked
	KCM_VENV=$(VENV) KCM_OIDC=$(OIDC) cargo nextest run --workspace --locked --profile ci
	cargo test --workspace --locked --doc
	@[ -d "$(KMIP_OASIS_CASES)" ] || echo "make test: skipped the OASIS cases: no folder $(KMIP_OASIS_CASES) (KMIP_OASIS_CASES names another)"

bench:
	.ci/install build
	cargo bench --locked -p chaos $(ARGS)

fuzz:
	.ci/install build fuzz
	.ci/fuzz $(ARGS)

mutants-wide:
	.ci/install build nextest mutants
	.ci/mutants-wide $(ARGS)

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
