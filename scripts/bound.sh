#!/bin/sh
# bound.sh: measure what VMA_OWNED_MAX_PAGES covers and what it costs; write docs/bound.txt.
. "$(dirname "$0")/common.sh"

for variant in base series; do
	NEXT="the guest's program" "$TOP/scripts/build.sh" $variant plain
	NEXT=boot "$TOP/scripts/initramfs.sh" $variant plain
done
mkdir -p "$RUN_LOGS"
echo "cost 600 /tests/demo/cost" >"$RUN_LOGS/tests"
for variant in base series; do
	ICOUNT=1 "$TOP/scripts/boot.sh" $variant plain $variant "$RUN_LOGS/tests"
done
stage "logs: $RUN_LOGS" "sample programs on this machine"
python3 "$TOP/scripts/report.py" \
	--console "$RUN_LOGS/base/console.log" --plain "base=$RUN_LOGS/base/cost.ktap" \
	--console "$RUN_LOGS/series/console.log" --plain "series=$RUN_LOGS/series/cost.ktap" \
	>"$RUN_LOGS/report" || { cat "$RUN_LOGS/report"; exit 1; }
python3 "$TOP/scripts/bound.py" --run --cost "$RUN_LOGS/base/cost.ktap" \
	"$RUN_LOGS/series/cost.ktap" >"$RUN_LOGS/bound.txt"
cp "$RUN_LOGS/bound.txt" "$TOP/docs/bound.txt"
cat "$TOP/docs/bound.txt"
