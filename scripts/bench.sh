#!/bin/sh
# bench.sh demo|bench: run the same programs on the plain kernels of base and series and compare.
#   demo   the memory that the series saves
#   bench  every group, for ARCH=; writes docs/bench.*, and the tables made
#          of it in README.md, docs/design.rst and series/cover-letter
# QUICK=1: fewer sizes and repetitions; the results stay with the logs.
archs=${ARCH:-x86_64}
. "$(dirname "$0")/common.sh"

# pair TESTS: build and boot both with the tests in this file, at once if there is a CPU for each.
pair() {
	for variant in base series; do
		NEXT="the guest's programs" "$TOP/scripts/build.sh" $variant plain
		NEXT=boot "$TOP/scripts/initramfs.sh" $variant plain
	done
	set --
	for variant in base series; do
		# A guest that dies is judged by its console.
		"$TOP/scripts/boot.sh" $variant plain $variant "$RUN_LOGS/tests" &
		[ "$JOBS" -gt 1 ] || wait
		set -- "$@" --console "$RUN_LOGS/$variant/console.log"
		for name in $(awk '{ print $1 }' "$RUN_LOGS/tests"); do
			set -- "$@" --plain "$variant-$name=$RUN_LOGS/$variant/$name.ktap"
		done
	done
	wait
	stage "logs: $RUN_LOGS"
	python3 "$TOP/scripts/report.py" "$@" >"$RUN_LOGS/report" || { cat "$RUN_LOGS/report"; exit 1; }
}

mkdir -p "$RUN_LOGS"
case ${1:?mode} in
demo)
	echo "memory 300 /tests/bench/memory" >"$RUN_LOGS/tests"
	pair
	python3 "$TOP/scripts/bench.py" memory "$RUN_LOGS"
	;;
bench)
	for ARCH in $archs; do
		export ARCH
		"$TOP/scripts/deps.sh"
		RUN_LOGS=$RUN_LOGS/$ARCH "$0" arch
	done
	docs=$TOP/docs
	[ -z "${QUICK:-}" ] || docs=$RUN_LOGS/docs
	mkdir -p "$docs"
	# shellcheck disable=SC2086
	python3 "$TOP/scripts/bench.py" collect --docs "$docs" "$RUN_LOGS" $archs
	[ -n "${QUICK:-}" ] || python3 "$TOP/scripts/bench.py" apply
	stage "the results: $docs/bench.rst"
	;;
arch)
	"$TOP/scripts/debian.sh" programs bash coreutils dash gcc gzip libc6-dev mawk nodejs python3 \
		redis-server sqlite3 >/dev/null
	[ -n "${QUICK:-}" ] && set -- quick 2 2 200 || set -- '' 3 5 1000
	cat >"$RUN_LOGS/tests" <<-EOF
	ops 1200 /tests/bench/ops $1
	memory 600 /tests/bench/memory repeat $2
	decay 600 /tests/bench/memory decay $3
	programs 1200 /tests/bench/memory programs $4
	EOF
	ICOUNT=1 INITRD=$CACHE/debian-programs-$ARCH/debian.cpio pair
	;;
*) die "unknown mode $1" ;;
esac
