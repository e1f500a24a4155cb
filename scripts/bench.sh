#!/bin/sh
# bench.sh demo|bench|waits: run the same programs on the plain kernels of base and series and compare.
#   demo   the memory that the series saves
#   bench  every group, on both architectures; writes docs/bench.*, and the tables made of it in
#          README.md, docs/design.rst and series/cover-letter. With ARCH= the results of that one
#          stay with the logs
#   waits  how long writers of a VMA take while others look at its folios; writes docs/waits.txt
# QUICK=1: fewer sizes and repetitions; the results stay with the logs.
archs=${ARCH:-x86_64 arm64}
. "$(dirname "$0")/common.sh"

# Build both and boot them with the tests in $RUN_LOGS/tests: at once if there is a CPU for each,
# with "pair one-by-one" never.
pair() {
	for variant in base series; do
		NEXT="the guest's programs" "$TOP/scripts/build.sh" $variant plain
		NEXT=boot "$TOP/scripts/initramfs.sh" $variant plain
	done
	at_once=${1:-$JOBS}
	set --
	for variant in base series; do
		# A guest that dies is judged by its console.
		"$TOP/scripts/boot.sh" $variant plain $variant "$RUN_LOGS/tests" &
		case $at_once in 1 | one-by-one) wait ;; esac
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
	docs=$TOP/docs
	[ -z "${QUICK:-}" ] && [ "$archs" = 'x86_64 arm64' ] || docs=$RUN_LOGS/docs
	for ARCH in $archs; do
		export ARCH ARCHES="$ARCH"
		"$TOP/scripts/deps.sh"
		RUN_LOGS=$RUN_LOGS/$ARCH "$0" arch
	done
	mkdir -p "$docs"
	# shellcheck disable=SC2086
	python3 "$TOP/scripts/bench.py" collect --docs "$docs" "$RUN_LOGS" $archs
	[ "$docs" != "$TOP/docs" ] || python3 "$TOP/scripts/bench.py" apply
	stage "the results: $docs/bench.rst"
	;;
waits)
	echo "waits 120 /tests/bench/waits" >"$RUN_LOGS/tests"
	pair one-by-one
	awk -v arch="$ARCH" '
		FNR == 1 { variant++ }
		$1 == "wait" {
			if (!($2 in total)) loads[++nr] = $2
			count[variant, $2, $3] = $4; total[$2]; sum[variant, $2] += $4
			if ($3 > last) last = $3
		}
		END {
			print "mprotect() of a whole VMA of 1 MiB while its pages migrate between nodes or are visited by rmap"
			print "walks, of one of 2 MiB while it is a huge page that is split and collapsed: how many of its calls"
			print "took less than that, in percent (make waits, " arch ")."
			for (l = 1; l <= nr; l++) {
				printf "\n%-12s %12s %12s\n", loads[l], "base", "series"
				printf "%-12s %12d %12d\n", "calls", sum[1, loads[l]], sum[2, loads[l]]
				base = series = 0
				for (i = 0; i <= last; i++) {
					base += count[1, loads[l], i]; series += count[2, loads[l], i]
					if (base + series && (count[1, loads[l], i] || count[2, loads[l], i]))
						printf "%-12s %12.3f %12.3f\n", sprintf("< %d us", 2 ^ (i + 1) / 1000),
							100 * base / sum[1, loads[l]], 100 * series / sum[2, loads[l]]
				}
			}
		}' "$RUN_LOGS/base/waits.ktap" "$RUN_LOGS/series/waits.ktap" >"$RUN_LOGS/waits.txt"
	cp "$RUN_LOGS/waits.txt" "$TOP/docs/waits.txt"
	cat "$TOP/docs/waits.txt"
	;;
arch)
	"$TOP/scripts/debian.sh" programs bash coreutils dash gcc gzip libc6-dev mawk nodejs python3 \
		redis-server sqlite3 >/dev/null
	[ -n "${QUICK:-}" ] && set -- quick 2 1 2 200 || set -- '' 3 3 5 1000
	cat >"$RUN_LOGS/tests" <<-EOF
	ops 1200 /tests/bench/ops $1
	memory 600 /tests/bench/memory repeat $2
	decay 600 /tests/bench/memory decay $3 $4
	programs 1200 /tests/bench/memory programs $3 $5
	EOF
	ICOUNT=1 INITRD=$CACHE/debian-programs-$ARCH/debian.cpio pair
	;;
*) die "unknown mode $1" ;;
esac
