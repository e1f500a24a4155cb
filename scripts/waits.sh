#!/bin/sh
# waits.sh: how long writers of a VMA take on the base and on the series while others look at its
# folios; writes docs/waits.txt.
. "$(dirname "$0")/common.sh"

for variant in base series; do
	NEXT="the guest's program" "$TOP/scripts/build.sh" $variant plain
	NEXT=boot "$TOP/scripts/initramfs.sh" $variant plain
done
mkdir -p "$RUN_LOGS"
echo "waits 120 /tests/bench/waits" >"$RUN_LOGS/tests"
for variant in base series; do
	"$TOP/scripts/boot.sh" $variant plain $variant "$RUN_LOGS/tests"
done
stage "logs: $RUN_LOGS"
python3 "$TOP/scripts/report.py" \
	--console "$RUN_LOGS/base/console.log" --plain "base=$RUN_LOGS/base/waits.ktap" \
	--console "$RUN_LOGS/series/console.log" --plain "series=$RUN_LOGS/series/waits.ktap" \
	>"$RUN_LOGS/report" || { cat "$RUN_LOGS/report"; exit 1; }
awk '
	FNR == 1 { variant++ }
	$1 == "wait" {
		if (!($2 in total)) loads[++nr] = $2
		count[variant, $2, $3] = $4; total[$2]; sum[variant, $2] += $4
		if ($3 > last) last = $3
	}
	END {
		print "mprotect() of a whole VMA of 1 MiB while its pages migrate between nodes or are visited by rmap"
		print "walks: how many of its calls took less than that, in percent (make waits)."
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
