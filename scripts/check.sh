#!/bin/sh
# check.sh check|quick|selftests|kunit|matrix|on-base|baseline: run tests and judge them with report.py.
#   check      everything, on every architecture unless ARCH= names one
#   quick      KUnit on UML and the series' own selftests, with T= the one selftest
#   selftests  the series' own selftests
#   kunit      KUnit, on UML or ARCH=
#   matrix     KUnit and the series' own selftests on ARCH, on the kernel CONFIG; or KUnit alone, on
#              KUNIT_ARCH (full.sh)
#   on-base    the series' own selftests on the base of ARCH (full.sh)
#   baseline   the base tree's selftests on the base; writes configs/baseline.ARCH
# T=NAME runs one test. RECORD=1: check writes docs/check.txt.
. "$(dirname "$0")/common.sh"

mode=${1:?mode}
mkdir -p "$RUN_LOGS"

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

# run ktap|plain NAME COMMAND...: a test on this machine, judged by its KTAP or its exit code.
run() {
	_log=$RUN_LOGS/$2.log _rc=0
	set_args="$set_args --$1 $2=$_log"
	shift 2
	"$@" >"$_log" 2>&1 || _rc=$?
	printf '\n# anon-exit: %s\n' $_rc >>"$_log"
}

# build VARIANT: the kernel and the guest's programs for ARCH.
build() {
	NEXT="the guest's programs" "$TOP/scripts/build.sh" "$1" "$CONFIG"
	NEXT=boot "$TOP/scripts/initramfs.sh" "$1" "$CONFIG"
}

# boot VARIANT LIST: run the tests in $RUN_LOGS/ARCH-LIST.tests.
boot() {
	[ -s "$RUN_LOGS/$ARCH-$2.tests" ] || return 0
	# A guest that dies is judged too: its console tells why.
	NEXT="judge the results" "$TOP/scripts/boot.sh" "$1" "$CONFIG" "$ARCH-$2" "$RUN_LOGS/$ARCH-$2.tests" ||
		echo "$ARCH-$2" >>"$RUN_LOGS/died"
}

# judge LIST [PREFIX]: what boot left.
judge() {
	[ -s "$RUN_LOGS/$ARCH-$1.tests" ] || return 0
	set_args="$set_args --console $RUN_LOGS/$ARCH-$1/console.log"
	for name in $(awk '{ print $1 }' "$RUN_LOGS/$ARCH-$1.tests"); do
		set_args="$set_args --ktap ${2:-}$name=$RUN_LOGS/$ARCH-$1/$name.ktap"
	done
}

# What the guest runs, filtered by T=.
base() { base_tests; }
own_tests() {
	sed "s,\(.*\):\(.*\),& 1800 /tests/\1/\2," "$CACHE/test/$ARCH-$CONFIG/.anon-own-tests"
}
own() { own_tests | grep -v ':device '; }
# lib/test_hmm.c may allocate under the mmap_lock what lockdep then joins with the locks of offlining.
device() { own_tests | grep ':device '; }
only_T() {
	if [ -n "${T:-}" ]; then awk -v t="$T" '$1 == t || substr($1, index($1, ":") + 1) == t'; else cat; fi
}

# tools/testing/vma: mm/vma.c in user space, of this machine.
run_vma() {
	_dir=$CACHE/$1/src/tools/testing/vma
	stage "build and run tools/testing/vma"
	run_logged "$RUN_LOGS/vma-build.log" env -u ARCH make -C "$_dir" CC="clang$clang_suffix" -j"$JOBS" ||
		die "the $1 tree's tools/testing/vma does not build"
	run plain vma env -C "$_dir" timeout 300 ./vma
}

# run_guests LIST...: build for each architecture, then boot all: a guest keeps one CPU busy.
# A list has a guest of its own: lockdep adds up what all tests of a guest do.
run_guests() {
	for ARCH in $ARCHES; do
		build test
		for list; do "$list" | only_T >"$RUN_LOGS/$ARCH-$list.tests"; done
	done
	[ -n "$(cat "$RUN_LOGS"/*.tests)" ] || die "no test ${T:-at all}; see selftests/ and configs/selftests-mm"
	for ARCH in $ARCHES; do
		for list; do boot test "$list"; done &
	done
	wait
	for ARCH in $ARCHES; do
		for list; do judge "$list" "$ARCH/"; done
	done
}

# kcsan_reports: a KCSAN that finds nothing must find a race that is there, on these emulated CPUs.
kcsan_reports() {
	_race=/sys/kernel/debug/anon_test/data_race
	echo "race 300 sh -c 'cat $_race & cat $_race; wait'" >"$RUN_LOGS/$ARCH-data-race.tests"
	boot test data-race
	grep 'BUG: KCSAN: data-race in data_race_show' "$RUN_LOGS/$ARCH-data-race/console.log"
}

case $mode in
kunit)
	run_kunit "${KUNIT_ARCH:-um}"
	;;
selftests | quick)
	[ "$mode" = selftests ] || [ -n "${T:-}" ] || run_kunit um
	# The developer's loop is of one architecture.
	ARCHES=$ARCH
	run_guests own device
	;;
matrix)
	ARCHES=$ARCH
	if [ -n "${KUNIT_ARCH:-}" ]; then
		run_kunit "$KUNIT_ARCH"
	else
		run_guests own device
		run_kunit "$ARCH" test
		! grep -q '^CONFIG_KCSAN=y' "$CACHE/test/$ARCH-$CONFIG/.config" || run plain kcsan-reports kcsan_reports
	fi
	# What a configuration does not have is skipped, with the test's own reason.
	set_args="$set_args --skips"
	;;
on-base)
	# What the tests ask of a kernel without owners is what a program may see change.
	for variant in test base; do build $variant; done
	(cd "$CACHE/test/$ARCH-$CONFIG/root" && find tests/anon_owner | cpio --quiet -o -H newc -R 0:0) >"$RUN_LOGS/own.cpio"
	export INITRD="$RUN_LOGS/own.cpio"
	for list in own device; do
		$list | grep '^anon_owner:' | only_T >"$RUN_LOGS/$ARCH-$list.tests"
		boot base $list
		judge $list "$ARCH/"
	done
	set_args="$set_args --skips"
	;;
baseline)
	base | only_T >"$RUN_LOGS/$ARCH-base.tests"
	build base
	[ -n "${T:-}" ] || run_vma base
	boot base base
	judge base
	report --write-baseline "$TOP/configs/baseline.$ARCH"
	exit
	;;
check)
	if [ -z "${T:-}" ]; then
		stage "does series/ agree with the files?" "the checker's own tests"
		"$TOP/scripts/tree.sh" agree
		python3 "$TOP/scripts/bench.py" check
		names="report_test bench_test"
		# A run that writes docs/check.txt is what the texts are to agree with.
		[ -n "${RECORD:-}" ] || names="$names figures"
		for name in $names; do run plain "$name" python3 "$TOP/scripts/$name.py"; done
		stage "lint the patches" "the model"
		run plain lint "$TOP/scripts/lint.sh"
		stage "check the model of the lock protocol" "KUnit on UML"
		run ktap model "$TOP/scripts/model.sh"
		run_kunit um
	fi
	run_guests own device base
	if [ -z "${T:-}" ]; then
		for ARCH in $ARCHES; do
			run_kunit "$ARCH" test
			run plain "noderef-$ARCH" "$TOP/scripts/noderef_test.sh"
		done
		run_vma test
	fi
	;;
*) die "unknown mode $mode" ;;
esac

for name in $(cat "$RUN_LOGS/died" 2>/dev/null); do set_args="$set_args --plain $name=/dev/null"; done
for ARCH in $ARCHES; do
	[ ! -f "$TOP/configs/baseline.$ARCH" ] || set_args="$set_args --baseline $ARCH=$TOP/configs/baseline.$ARCH"
done
# The baseline lists all cases of a suite; T= leaves some of KUnit's.
case $mode${T:+-T} in
kunit-T) set_args="$set_args --skips" ;;
*) set_args="$set_args --baseline $TOP/configs/baseline" ;;
esac
rc=0
report --allow "$TOP/configs/allow" >"$RUN_LOGS/report" || rc=$?
cat "$RUN_LOGS/report"
if [ "$mode" = check ] && [ -z "${T:-}" ] && [ -n "${RECORD:-}" ] && [ $rc = 0 ]; then
	{
		echo "Written by make check RECORD=1: what passed on $ARCHES, $(date +%F), Linux $version with the series"
		echo "$(patches_id) (a hash of the patches), in $(elapsed) minutes and seconds."
		echo
		grep -E '^ok |passed, ' "$RUN_LOGS/report" | sed 's/^ok [0-9]* //; s/ # /: /'
	} >"$TOP/docs/check.txt"
fi
exit $rc
