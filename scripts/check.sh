#!/bin/sh
# check.sh check|quick|selftests|kunit|baseline: run tests and judge them with report.py.
#   check      everything
#   quick      KUnit on UML and the series' own selftests
#   selftests  the series' own selftests
#   kunit      KUnit, on UML or ARCH=
#   baseline   the base tree's selftests on the base; writes configs/baseline.ARCH
# T=NAME runs one test.
. "$(dirname "$0")/common.sh"

mode=${1:?mode}
baseline=$TOP/configs/baseline.$ARCH
mkdir -p "$RUN_LOGS"

ktap() { set_args="$set_args --ktap $1=$2"; }
set_args=

report() {
	stage "judge the results; the logs are in $RUN_LOGS"
	rc=0
	# shellcheck disable=SC2086
	python3 "$TOP/scripts/report.py" $set_args --summary "$RUN_LOGS/summary.ktap" "$@" || rc=$?
	return $rc
}

run_kunit() {
	NEXT=$2 "$TOP/scripts/kunit.sh" "$1" || return
	set_args="$set_args --console $RUN_LOGS/kunit-$1.log --ktap kunit-$1=$RUN_LOGS/kunit-$1.log"
}

# guest VARIANT LIST: build, boot and run the tests in the file LIST.
guest() {
	NEXT="build the guest's programs" "$TOP/scripts/build.sh" "$1" debug
	NEXT="boot" "$TOP/scripts/initramfs.sh" "$1" debug
	# A guest that dies is judged too: its console tells why.
	guest_rc=0
	NEXT="judge the results" "$TOP/scripts/boot.sh" "$1" debug guest "$2" || guest_rc=$?
	set_args="$set_args --console $RUN_LOGS/guest/console.log"
	for name in $(awk '{ print $1 }' "$2"); do
		ktap "$name" "$RUN_LOGS/guest/$name.ktap"
	done
	[ $guest_rc = 0 ] || set_args="$set_args --plain guest=/dev/null"
}

# What the guest runs, filtered by T=.
base_list() { sed '/^#/d; /^ *$/d' "$TOP/configs/selftests-mm"; }
own_list() {
	sed 's,.*,anon_owner:& 600 /tests/anon_owner/&,' "$CACHE/test/$ARCH-debug/.anon-own-tests"
}
only_T() {
	if [ -n "${T:-}" ]; then awk -v t="$T" '$1 == t || $1 == "anon_owner:" t'; else cat; fi
}

# tools/testing/vma: mm/vma.c in user space.
run_vma() {
	_dir=$CACHE/$1/src/tools/testing/vma
	stage "build and run tools/testing/vma" "$2"
	run_logged "$RUN_LOGS/vma-build.log" make -C "$_dir" CC="clang$clang_suffix" -j"$JOBS" ||
		die "the $1 tree's tools/testing/vma does not build"
	_rc=0
	(cd "$_dir" && timeout 300 ./vma) >"$RUN_LOGS/vma.log" 2>&1 || _rc=$?
	printf '\n# anon-exit: %s\n' $_rc >>"$RUN_LOGS/vma.log"
	set_args="$set_args --plain vma=$RUN_LOGS/vma.log"
}

list=$RUN_LOGS/tests
case $mode in
kunit)
	run_kunit "${KUNIT_ARCH:-um}" "judge the results"
	;;
selftests | quick)
	[ "$mode" = selftests ] || run_kunit um "build the test kernel"
	NEXT="build the guest's programs" "$TOP/scripts/build.sh" test debug
	NEXT="boot" "$TOP/scripts/initramfs.sh" test debug
	own_list | only_T >"$list"
	[ -s "$list" ] || die "the series has no selftest${T:+ $T} under tools/testing/selftests/anon_owner"
	guest test "$list"
	;;
baseline)
	base_list | only_T >"$list"
	NEXT="tools/testing/vma" "$TOP/scripts/build.sh" base debug
	[ -n "${T:-}" ] || run_vma base "boot"
	guest base "$list"
	report --write-baseline "$baseline"
	exit
	;;
check)
	if [ -z "${T:-}" ]; then
		stage "does series/ agree with the files?" "the checker's own tests"
		"$TOP/scripts/tree.sh" agree
		_rc=0
		python3 "$TOP/scripts/report_test.py" >"$RUN_LOGS/report_test.log" 2>&1 || _rc=$?
		printf '\n# anon-exit: %s\n' $_rc >>"$RUN_LOGS/report_test.log"
		set_args="--plain report_test=$RUN_LOGS/report_test.log"
		run_kunit um "KUnit on $ARCH"
		run_kunit "$ARCH" "build the test kernel"
	fi
	NEXT="build the guest's programs" "$TOP/scripts/build.sh" test debug
	NEXT="tools/testing/vma" "$TOP/scripts/initramfs.sh" test debug
	[ -n "${T:-}" ] || run_vma test "boot"
	{ own_list; base_list; } | only_T >"$list"
	[ -s "$list" ] || die "no test $T; make help lists where they are"
	guest test "$list"
	;;
*) die "unknown mode $mode" ;;
esac

rc=0
if [ -f "$baseline" ]; then report --baseline "$baseline" || rc=$?; else report || rc=$?; fi
exit $rc
