# VMA-owned anonymous folios: build, boot and test the series. 'make help' lists the targets.
# Settings: ARCH=x86_64|arm64  LLVM=-19  T=<one test>  KSRC=<kernel tree or tarball>  CACHE=<folder>
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := all
ifdef CACHE
export CACHE := $(abspath $(CACHE))
endif
ifdef KSRC
export KSRC := $(abspath $(KSRC))
endif
ifdef OUT
export OUT := $(abspath $(OUT))
endif
export ARCH LLVM T JOBS KUNITCONFIG QUICK RECORD MINUTES SEED FROM ASSISTED_BY ASSISTANCE BASE_COMMIT REPO
# The scripts start their own makes and pass what those need.
unexport MAKEFLAGS MFLAGS MAKEOVERRIDES

.PHONY: all port check quick kunit selftests check-full stress baseline demo bench bound boot shell tree refresh agree fetch deps lint bisect complexity rfc model mutate waits clean help

all: demo		## the same as make demo

demo: deps		## build and boot base and series, show the memory that the series saves
	@scripts/bench.sh demo

bench: deps		## measure base against series, write docs/bench.* and the tables made of it (QUICK=1)
	@scripts/bench.sh bench

check: deps		## run every test; the last line is "N passed, N failed, N skipped"
	@scripts/check.sh check

quick: deps		## the developer's loop: KUnit on UML and the series' selftests
	@scripts/check.sh quick

kunit: deps		## KUnit on UML, or with ARCH= given in QEMU
	@KUNIT_ARCH=$(if $(filter command line environment,$(origin ARCH)),$(ARCH),um) scripts/check.sh kunit

selftests: deps		## the series' own selftests (T=<one test>)
	@scripts/check.sh selftests

check-full: deps	## KUnit and the series' selftests on every kernel of configs/matrix (T=NAME: on one)
	@scripts/full.sh

stress: deps		## stress-ng and mmtorture on the test kernel, MINUTES=10 for each ARCH
	@scripts/stress.sh

baseline: deps		## run the base tree's selftests on the base, write configs/baseline.ARCH
	@scripts/check.sh baseline

bound: deps		## measure what the bound covers on this machine, write docs/bound.txt
	@scripts/bound.py --run >docs/bound.txt && cat docs/bound.txt

boot: deps		## boot the series' test kernel once, without tests
	@scripts/shell.sh boot

shell: deps		## a prompt in the booted test kernel, tests in /tests
	@scripts/shell.sh shell

tree: deps		## the patched git work tree to edit and commit in
	@scripts/tree.sh tree

refresh: deps		## export that tree to series/ and to the files here
	@scripts/tree.sh refresh

agree: deps		## prove that series/ and the files here agree byte for byte
	@scripts/tree.sh agree

fetch: deps		## fetch and import the base
	@scripts/fetch.sh

deps:			## install the missing Debian packages (as root), or name them
	@scripts/deps.sh

lint: deps-lint		## all that can be said about the patches without running them
	@scripts/lint.sh full

bisect: deps-bisect	## build and test after each patch, x86_64 and arm64; write docs/bisect.txt
	@scripts/bisect.sh

complexity: deps-complexity	## write docs/complexity.rst: what the series adds, in numbers
	@scripts/complexity.sh

rfc: deps-rfc		## write the mails to OUT (FROM='Name <mail>' ASSISTED_BY=); send nothing
	@scripts/rfc.sh

deps-%:
	@scripts/deps.sh $*

port: deps		## does the series apply to and build on KSRC=? Writes docs/port.txt
	@scripts/port.sh

model: deps		## check the model of the lock protocol with spin, whole and broken
	@scripts/model.sh

mutate: deps		## break each guarded line, write docs/mutations.txt: which test notices (B=<break>)
	@scripts/mutate.sh $(B)

waits: deps		## how long writers of a VMA wait on base and series, write docs/waits.txt
	@scripts/bench.sh waits

clean:			## remove the build folders and logs; keep the kernel source and your tree
	@scripts/clean.sh

help:			## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12
