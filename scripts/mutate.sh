#!/bin/sh
# mutate.sh [BREAK...]: for each line of configs/mutations boot a test kernel with that break, run the
# test that is to notice it, and write what went red to docs/mutations.txt. Named breaks are only shown.
. "$(dirname "$0")/common.sh"

mkdir -p "$RUN_LOGS"
sed '/^#/d; /^ *$/d' "$TOP/configs/mutations" >"$RUN_LOGS/mutations"
NEXT="build the guest's programs" "$TOP/scripts/build.sh" test debug
NEXT="boot" "$TOP/scripts/initramfs.sh" test debug
own=$CACHE/test/$ARCH-debug/.anon-own-tests

# run LABEL BREAK: set BREAK and run the commands of standard input in one guest; LABEL is a folder of
# the logs.
run() {
	_logs=$RUN_LOGS/$1
	mkdir -p "$_logs"
	_args="--console $_logs/console.log --plain break=$_logs/break.ktap"
	echo "break 20 sh -c 'echo $2 >/sys/kernel/debug/anon_test/break'" >"$_logs/tests"
	while read -r _program _arguments; do
		_name=$(echo "$_program $_arguments" | tr -d ' ')
		_path=$(sed -n "s,\(.*\):$_program\$,/tests/\1/$_program,p" "$own")
		echo "$_name 120 ${_path:-/tests/$_program} $_arguments" >>"$_logs/tests"
		_args="$_args --ktap $_name=$_logs/$_name.ktap"
	done
	"$TOP/scripts/boot.sh" test debug "$1" "$_logs/tests" >&2 || :
	# What was never broken is not caught either.
	grep -q '^# anon-exit: 0$' "$_logs/break.ktap" 2>/dev/null ||
		die "the guest could not set the break $2; its logs: $_logs"
	# shellcheck disable=SC2086
	python3 "$TOP/scripts/report.py" --allow "$TOP/configs/allow" $_args --summary "$_logs/summary.ktap" >"$_logs/report"
}

# try LABEL BREAK COMMAND: one line, the cases of COMMAND that went red and the first splat.
try() {
	echo "$3" | run "$1" "$2" || :
	awk -v b="$2" -v command="$3" '
		/^  (not )?ok/ { cases++ }
		/^  not ok/ { why = $0; if (!red++) { first = why; sub(/^  not ok [0-9]+ /, "", first); sub(/ # .*/, "", first) } }
		/^(not )?ok/ {
			program = $0; sub(/^(not )?ok [0-9]+ /, "", program); sub(/ # .*/, "", program)
			if (program ~ /^console/ && red) {
				sub(/.* # /, "", why)
				splat = why ~ /^truncated/ ? "the guest died" : "splat"
				if (sub(/^[^ ]*:[0-9]+: (\[[^]]*\])*/, "", why)) {
					sub(/ \([0-9]+ suspicious lines\).*/, "", why)
					# Not what differs from run to run.
					sub(/\+0x.*/, "", why)
					splat = "splat:" (why ~ /^ / ? "" : " ") why
				}
			} else if (program !~ /^break/ && red) {
				# What a guest that dies had still to run was not counted.
				what = first ~ /^\(/ ? "" : red " of " cases ", " first
			}
			cases = red = 0
		}
		END { printf "%-20s %-44s %s\n", b, command, what || splat ? what (what && splat ? "; " : "") splat : "NOT CAUGHT" }
	' "$RUN_LOGS/$1/summary.ktap"
}

# try_all FILE: each line of FILE.
try_all() {
	n=0
	while read -r b command <&3; do
		n=$((n + 1))
		try "$b-$n" "$b" "$command" >"$RUN_LOGS/row-$n" &
		[ $((n % JOBS)) -ne 0 ] || wait
	done 3<"$1"
	wait
	i=0
	while [ $i -lt $n ]; do
		i=$((i + 1))
		[ -s "$RUN_LOGS/row-$i" ] || die "line $i was not tried: $(sed -n ${i}p "$1"); logs: $RUN_LOGS"
		cat "$RUN_LOGS/row-$i"
	done
}

# The tests of the selftests and of KUnit, of whatever variant: FIXTURE.TEST or KUnit's case.
tests() {
	cat "$CACHE/test/src/tools/testing/selftests"/anon_owner*/*.c |
		sed -nE 's/^TEST_F(_TIMEOUT)?\((\w+), (\w+).*/\2.\3/p; s/^TEST(_TIMEOUT)?\((\w+).*/global.\2/p'
	sed -nE 's/^\s*KUNIT_CASE(_PARAM)?\((\w+).*/\2/p' "$CACHE/test/src/lib/kunit-anon/anon_vma_owned_kunit.c"
}
red_tests() {
	sed -nE 's/^  not ok [0-9]+ //p' "$RUN_LOGS"/*-*/summary.ktap | sed -E 's/ # .*//' | tr -d ' ' |
		sed -E 's,^[^/.]*/([^/]*).*,\1,; s/^([^.]*)\..*\.([^.]*)$/\1.\2/' | sort -u
}

out=$RUN_LOGS/mutations.txt
if [ $# -gt 0 ]; then
	for b; do awk -v b="$b" '$1 == b' "$RUN_LOGS/mutations"; done >"$RUN_LOGS/named"
	[ -s "$RUN_LOGS/named" ] || die "configs/mutations has none of: $*"
	try_all "$RUN_LOGS/named" >"$out"
	cat "$out"
	stage "logs: $RUN_LOGS"
else
	# Unbroken, all of them are to pass.
	awk '{ $1 = ""; sub(/^ /, ""); if (!seen[$0]++) print }' "$RUN_LOGS/mutations" | run none none ||
		die "not all tests pass with nothing broken; logs: $RUN_LOGS/none"
	{
		echo "A line is broken at run time, a test runs, and how many of its cases went red, the first of them,"
		echo "and the first splat (configs/mutations, make mutate); a missing plan or a time-out counts as a case."
		echo "With nothing broken all of these tests pass."
		echo
		try_all "$RUN_LOGS/mutations"
		tests | sort -u >"$RUN_LOGS/all-tests"
		red_tests >"$RUN_LOGS/red-tests"
		echo
		echo "$(grep -cxFf "$RUN_LOGS/red-tests" "$RUN_LOGS/all-tests") of $(wc -l <"$RUN_LOGS/all-tests") tests went red of this in some variant, not these:"
		grep -vxFf "$RUN_LOGS/red-tests" "$RUN_LOGS/all-tests" | paste -sd' ' | fold -s -w 100 | sed 's/^/  /; s/ $//'
	} >"$out"
	cat "$out"
	cp "$out" "$TOP/docs/mutations.txt"
	stage "wrote docs/mutations.txt; logs: $RUN_LOGS"
fi
! grep -q 'NOT CAUGHT' "$out" || die "not every break was caught"
