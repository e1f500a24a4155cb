#!/bin/sh
# check.sh check|quick|selftests|kunit|matrix|baseline: run tests and judge them with report.py.
#   check      everything, on every architecture unless ARCH= names one
#   quick      KUnit on UML and the series' own selftests
#   selftests  the series' own selftests
#   kunit      KUnit, on UML or ARCH=
#   matrix     KUnit and the series' own selftests on ARCH, on the kernel CONFIG (full.sh)
#   baseline   the base tree's selftests on the base; writes configs/baseline.ARCH
# T=NAME runs one test.
. "$(dirname "$0")/common.sh"

mode=${1:?mode}
mkdir -p "$RUN_LOGS"

ktap() { set_args="$set_args --ktap $1=$2"; }
set_args=
CONFIG=${CONFIG:-debug}
export ARCH CONFIG

report() {
	stage "judge the results; the logs are in $RUN_LOGS"
	rc=0
	# shellcheck disable=SC2086
	python3 "$TOP/scripts/report.py" $set_args --summary "$RUN_LOGS/summary.ktap" "$@" || rc=$?
	return $rc
}

run_kunit() {
	"$TOP/scripts/kunit.sh" "$@" || return
	set_args="$set_args --console $RUN_LOGS/kunit-$1.log --ktap kunit-$1=$RUN_LOGS/kunit-$1.log"
}

# run_plain NAME COMMAND...: a test of which only the exit status counts.
run_plain() {
	_name=$1 _rc=0
	shift
	"$@" >"$RUN_LOGS/$_name.log" 2>&1 || _rc=$?
	printf '\n# anon-exit: %s\n' $_rc >>"$RUN_LOGS/$_name.log"
	set_args="$set_args --plain $_name=$RUN_LOGS/$_name.log"
}

# build VARIANT: the kernel and the guest's programs for ARCH.
build() {
	NEXT="the guest's programs" "$TOP/scripts/build.sh" "$1" "$CONFIG"
	NEXT="${2:-boot}" "$TOP/scripts/initramfs.sh" "$1" "$CONFIG"
}

# boot VARIANT LIST: run the tests in the file LIST on ARCH.
boot() {
	# A guest that dies is judged too: its console tells why.
	NEXT="judge the results" "$TOP/scripts/boot.sh" "$1" "$CONFIG" "guest-$ARCH" "$2" ||
		echo "$ARCH/guest" >>"$RUN_LOGS/died"
}

# judge LIST [PREFIX]: what boot left.
judge() {
	set_args="$set_args --console $RUN_LOGS/guest-$ARCH/console.log"
	for name in $(awk '{ print $1 }' "$1"); do
		ktap "${2:-}$name" "$RUN_LOGS/guest-$ARCH/$name.ktap"
	done
}

# What the guest runs, filtered by T=.
base_list() { sed '/^#/d; /^ *$/d' "$TOP/configs/selftests-mm"; }
own_list() {
	sed 's,\(.*\):\(.*\),& 600 /tests/\1/\2,' "$CACHE/test/$ARCH-$CONFIG/.anon-own-tests"
}
only_T() {
	if [ -n "${T:-}" ]; then awk -v t="$T" '$1 == t || substr($1, index($1, ":") + 1) == t'; else cat; fi
}

# tools/testing/vma: mm/vma.c in user space.
run_vma() {
	_dir=$CACHE/$1/src/tools/testing/vma
	stage "build and run tools/testing/vma"
	run_logged "$RUN_LOGS/vma-build.log" make -C "$_dir" CC="clang$clang_suffix" -j"$JOBS" ||
		die "the $1 tree's tools/testing/vma does not build"
	_rc=0
	(cd "$_dir" && timeout 300 ./vma) >"$RUN_LOGS/vma.log" 2>&1 || _rc=$?
	printf '\n# anon-exit: %s\n' $_rc >>"$RUN_LOGS/vma.log"
	set_args="$set_args --plain vma=$RUN_LOGS/vma.log"
}

# The lock protocol, as a model.
run_model() {
	stage "check the model of the lock protocol"
	_rc=0
	"$TOP/scripts/model.sh" >"$RUN_LOGS/model.ktap" 2>&1 || _rc=$?
	printf '\n# anon-exit: %s\n' $_rc >>"$RUN_LOGS/model.ktap"
	ktap model "$RUN_LOGS/model.ktap"
}

own_tests() {
	own_list | only_T >"$RUN_LOGS/tests-$ARCH"
	[ -s "$RUN_LOGS/tests-$ARCH" ] ||
		die "the series has no selftest${T:+ $T} under tools/testing/selftests/anon_owner"
}
all_tests() {
	{ own_list; base_list; } | only_T >"$RUN_LOGS/tests-$ARCH"
	[ -s "$RUN_LOGS/tests-$ARCH" ] || die "no test $T; make help lists where they are"
}

# run_guests LISTER: build for each architecture, then boot all: a guest keeps one CPU busy.
run_guests() {
	for ARCH in $ARCHES; do
		build test
		"$1"
	done
	for ARCH in $ARCHES; do boot test "$RUN_LOGS/tests-$ARCH" & done
	wait
	for ARCH in $ARCHES; do judge "$RUN_LOGS/tests-$ARCH" "$ARCH/"; done
}

case $mode in
kunit)
	run_kunit "${KUNIT_ARCH:-um}"
	;;
selftests | quick)
	[ "$mode" = selftests ] || run_kunit um
	# The developer's loop is of one architecture.
	ARCHES=$ARCH
	run_guests own_tests
	;;
matrix)
	ARCHES=$ARCH
	run_guests own_tests
	run_kunit "$ARCH" test
	# What a configuration does not have is skipped, with the test's own reason.
	set_args="$set_args --skips"
	;;
baseline)
	base_list | only_T >"$RUN_LOGS/tests-$ARCH"
	build base
	boot base "$RUN_LOGS/tests-$ARCH"
	judge "$RUN_LOGS/tests-$ARCH"
	report --write-baseline "$TOP/configs/baseline.$ARCH"
	exit
	;;
check)
	if [ -z "${T:-}" ]; then
		stage "does series/ agree with the files?" "the checker's own tests"
		"$TOP/scripts/tree.sh" agree
		[ ! -f "$TOP/docs/bench.json" ] || python3 "$TOP/scripts/bench.py" check
		for name in report_test bench_test; do run_plain $name python3 "$TOP/scripts/$name.py"; done
		stage "lint the patches" "the model"
		run_plain lint "$TOP/scripts/lint.sh"
		run_model
		run_kunit um
	fi
	run_guests all_tests
	if [ -z "${T:-}" ]; then
		for ARCH in $ARCHES; do run_kunit "$ARCH" test; done
		run_vma test
	fi
	;;
*) die "unknown mode $mode" ;;
esac

for name in $(cat "$RUN_LOGS/died" 2>/dev/null); do set_args="$set_args --plain $name=/dev/null"; done
for ARCH in $ARCHES; do
	[ ! -f "$TOP/configs/baseline.$ARCH" ] || set_args="$set_args --baseline $ARCH=$TOP/configs/baseline.$ARCH"
done
report --baseline "$TOP/configs/baseline" --allow "$TOP/configs/allow"
