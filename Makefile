# `make demo` and `make test` are all that a fresh Debian 12 machine with Swift 6.3 needs.

.PHONY: demo test deps lint format
SOURCES = Package.swift Sources Tests migrations

demo: deps
	swift build -c release --product l2s
	swift build -c release --product l2s-worker
	.build/release/l2s demo

# Warnings are errors by the settings in Package.swift. The tests start their own PostgreSQL.
test: deps lint
	swift build --build-tests
	swift test --skip-build --disable-xctest

deps:
	@.ci/install-packages

lint:
	swift format lint --strict --parallel --recursive $(SOURCES)

format:
	swift format --in-place --parallel --recursive $(SOURCES)
