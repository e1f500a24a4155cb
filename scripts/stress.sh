#!/bin/sh
# stress.sh: stress-ng's mm stressors and mmtorture on the test kernel, under memory pressure with
# zram, compaction, KSM and khugepaged running hot. MINUTES=10 for each of ARCHES; appends a line
# for each to docs/stress.txt. SEED= repeats mmtorture's calls.
. "$(dirname "$0")/common.sh"

minutes=${MINUTES:-10} seed=${SEED:-$(date +%s)}
mkdir -p "$RUN_LOGS"

for ARCH in $ARCHES; do
	export ARCH
	NEXT="the guest's programs" "$TOP/scripts/build.sh" test debug
	NEXT=boot "$TOP/scripts/initramfs.sh" test debug
	"$TOP/scripts/debian.sh" stress stress-ng >/dev/null
	half=$((minutes * 30))
	echo "stress $((minutes * 60 + 900)) /tests/stress/stress $half $seed" >"$RUN_LOGS/tests-$ARCH"
done
for ARCH in $ARCHES; do
	GUEST_TIMEOUT=$((minutes * 60 + 1800)) INITRD=$CACHE/debian-stress-$ARCH/debian.cpio \
		"$TOP/scripts/boot.sh" test debug "stress-$ARCH" "$RUN_LOGS/tests-$ARCH" || : &
done
wait
rc=0
for ARCH in $ARCHES; do
	logs=$RUN_LOGS/stress-$ARCH
	result=passed
	python3 "$TOP/scripts/report.py" --console "$logs/console.log" --plain "$ARCH/stress=$logs/stress.ktap" \
		>"$logs/report" || { rc=1 result=FAILED; }
	cat "$logs/report"
	printf '%s  %-7s %3d min  seed %s  series %s  %s: %s\n' "$(date +%F)" "$ARCH" "$minutes" "$seed" \
		"$(patches_id)" "$result" \
		"$(sed -n 's/^# did: //p' "$logs/stress.ktap" | tr '\n' ' ')" >>"$TOP/docs/stress.txt"
done
[ $rc = 0 ] || die "the stress did not pass; the logs are in $RUN_LOGS"
