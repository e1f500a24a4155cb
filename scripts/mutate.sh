#!/bin/sh
# mutate.sh [BREAK...]: boot a test kernel for each break of configs/mutations, run what is to notice
# it, and write which test did so first to docs/mutations.txt. Named breaks are only shown.
. "$(dirname "$0")/common.sh"

mkdir -p "$RUN_LOGS"
sed '/^#/d; /^ *$/d' "$TOP/configs/mutations" >"$RUN_LOGS/mutations"
NEXT="build the guest's programs" "$TOP/scripts/build.sh" test debug
NEXT="boot" "$TOP/scripts/initramfs.sh" test debug
own=$CACHE/test/$ARCH-debug/.anon-own-tests

# try BREAK: one line "BREAK TEST", and the first splat, if there was one.
try() {
	_logs=$RUN_LOGS/$1
	mkdir -p "$_logs"
	_args="--console $_logs/console.log --plain break=$_logs/break.ktap"
	echo "break 20 sh -c 'echo $1 >/sys/kernel/debug/anon_test/break'" >"$_logs/tests"
	# Unbroken, all of them are to pass.
	awk -v b="$1" 'b == "none" || $1 == b { $1 = ""; sub(/^ /, ""); if (!seen[$0]++) print }' \
		"$RUN_LOGS/mutations" >"$_logs/commands"
	[ -s "$_logs/commands" ] || die "configs/mutations has no break $1"
	while read -r _program _arguments; do
		_name=$(echo "$_program $_arguments" | tr -d ' ')
		_path=$(sed -n "s,\(.*\):$_program\$,/tests/\1/$_program,p" "$own")
		echo "$_name 120 ${_path:-/tests/$_program} $_arguments" >>"$_logs/tests"
		_args="$_args --ktap $_name=$_logs/$_name.ktap"
	done <"$_logs/commands"
	"$TOP/scripts/boot.sh" test debug "$1" "$_logs/tests" >&2 || :
	# What was never broken is not caught either.
	grep -q '^# anon-exit: 0$' "$_logs/break.ktap" 2>/dev/null ||
		die "the guest could not set the break $1; its logs: $_logs"
	# shellcheck disable=SC2086
	python3 "$TOP/scripts/report.py" $_args --summary "$_logs/summary.ktap" >"$_logs/report" || :
	awk -v b="$1" '
		/^  not ok/ && !case_ { case_ = why = $0; sub(/^  not ok [0-9]+ /, "", case_); sub(/ # .*/, "", case_) }
		/^(not )?ok/ {
			program = $0; sub(/^(not )?ok [0-9]+ /, "", program); sub(/ # .*/, "", program)
			if (case_ && program !~ /^console/ && !red) red = program ": " case_
			if (case_ && program ~ /^console/) {
				sub(/.* # /, "", why)
				splat = why ~ /^truncated/ ? "the guest died" : "splat"
				if (sub(/^[^ ]*:[0-9]+: (\[[^]]*\])*/, "", why)) {
					sub(/ \([0-9]+ suspicious lines\).*/, "", why)
					# Not what differs from run to run.
					sub(/\+0x.*/, "", why)
					splat = "splat:" (why ~ /^ / ? "" : " ") why
				}
			}
			case_ = ""
		}
		END { printf "%-20s %s\n", b, red || splat ? red (red && splat ? "; " : "") splat : "NOT CAUGHT" }
	' "$_logs/summary.ktap"
}

if [ $# -gt 0 ]; then
	for b; do try "$b"; done
	stage "logs: $RUN_LOGS"
	exit
fi

out=$RUN_LOGS/mutations.txt
try none >"$out"
grep -q 'NOT CAUGHT' "$out" || die "not all tests pass with nothing broken: $(cat "$out"); logs: $RUN_LOGS/none"
{
	echo "Each line broken at run time (configs/mutations, make mutate), and the first test that went red."
	echo "With nothing broken all of these tests pass."
	echo
} >"$out"
breaks=$(awk '{ print $1 }' "$RUN_LOGS/mutations" | uniq)
n=0
for b in $breaks; do
	try "$b" >"$RUN_LOGS/$b.caught" &
	n=$((n + 1))
	[ $((n % JOBS)) -ne 0 ] || wait
done
wait
for b in $breaks; do
	[ -s "$RUN_LOGS/$b.caught" ] || die "the break $b was not tried; logs: $RUN_LOGS/$b"
	cat "$RUN_LOGS/$b.caught"
done >>"$out"
cat "$out"
cp "$out" "$TOP/docs/mutations.txt"
stage "wrote docs/mutations.txt; logs: $RUN_LOGS"
! grep -q 'NOT CAUGHT' "$out" || die "not every break was caught"
