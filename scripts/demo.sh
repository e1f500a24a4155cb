#!/bin/sh
# demo.sh: run the same workload on the base and on the series and compare the memory.
. "$(dirname "$0")/common.sh"

for variant in base series; do
	NEXT="the guest's program" "$TOP/scripts/build.sh" $variant plain
	NEXT=boot "$TOP/scripts/initramfs.sh" $variant plain
done
mkdir -p "$RUN_LOGS"
echo "workload 300 /tests/demo/workload" >"$RUN_LOGS/tests"
for variant in base series; do
	"$TOP/scripts/boot.sh" $variant plain $variant "$RUN_LOGS/tests"
done
stage "logs: $RUN_LOGS"
python3 "$TOP/scripts/report.py" \
	--console "$RUN_LOGS/base/console.log" --plain "base=$RUN_LOGS/base/workload.ktap" \
	--console "$RUN_LOGS/series/console.log" --plain "series=$RUN_LOGS/series/workload.ktap" \
	>"$RUN_LOGS/report" || { cat "$RUN_LOGS/report"; exit 1; }
python3 "$TOP/scripts/memtable.py" "$RUN_LOGS/base/workload.ktap" "$RUN_LOGS/series/workload.ktap"
