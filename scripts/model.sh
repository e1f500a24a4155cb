#!/bin/sh
# model.sh: check scripts/model/owner.pml with spin. As it is it must hold in every state; with a part
# of it broken the shortest counterexample must be of the expected kind. Prints KTAP.
# VMAS=3 searches further.
. "$(dirname "$0")/common.sh"

logs=$RUN_LOGS/model
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$logs"
cd "$tmp"
total=0 failed=0

# search NAME "DEFINES" "CFLAGS": pan's output in NAME.log; the counterexample, if any, in NAME.trail.
search() {
	log=$logs/$1.log
	rm -f ./*
	cp "$TOP/scripts/model/owner.pml" .
	# shellcheck disable=SC2086
	{ spin -P"clang$clang_suffix -E -x c" $2 -a owner.pml &&
	  "clang$clang_suffix" -w -DSAFETY $3 -o pan pan.c && ./pan -m100000; } >"$log" 2>&1 || return
	[ -f owner.pml.trail ] || return 0
	# shellcheck disable=SC2086
	spin -P"clang$clang_suffix -E -x c" $2 -t -p -g owner.pml >"$logs/$1.trail" 2>&1
}

# result RC NAME
result() {
	total=$((total + 1))
	[ "$1" = 0 ] && { echo "ok $total - $2"; return; }
	failed=$((failed + 1))
	grep -v '^Depth=' "$log" | sed 's/^/# /'
	echo "# log: $log"
	echo "not ok $total - $2"
}

# holds FOLIOS VMAS: no error in any state, and no state left out.
holds() {
	rc=1
	search "holds-$1-$2" "-DBREAK=nothing -DAND=nothing -DFOLIOS=$1 -DVMAS=$2" "-O2 -DCOLLAPSE" &&
		grep -q 'errors: 0$' "$log" && grep -q '^Full statespace search' "$log" &&
		! grep -Eiq 'not completed|depth too small|out of memory|memlim|truncated' "$log" && rc=0
	sed -n 's/^ *\([0-9]*\) states, stored.*/# \1 states/p' "$log"
	result $rc "holds with FOLIOS=$1 VMAS=$2"
}

# breaks WHAT ERROR [AND]: pan says ERROR, and owner.pml what WHAT breaks.
breaks() {
	rc=1
	search "$1${3:+-$3}" "-DBREAK=$1 -DAND=${3:-nothing} -DFOLIOS=1 -DVMAS=2" -DBFS &&
		grep -qF "pan:1: $2" "$log" && rc=0
	result $rc "$1${3:+, $3}: fails"
	sed -n 's/^pan:1: /# /p' "$log"
}

gone='assertion violated (slab!='
freed_mm='assertion violated (mm_count[mm]>0)'
other_vma='assertion violated (vma==mapper[f])'
not_owned='assertion violated ((anon_vma==1)&&(mapping[f]==1))'
written='assertion violated (vm_lock_seq!=mm_lock_seq[mm])'
left_owned='assertion violated ((((anon_vma==1)||(mapper[f]!=vma))||'

echo 'KTAP version 1'
echo 1..15
holds 2 "${VMAS:-2}"
holds 1 4
breaks no_rcu "$gone"
breaks no_first_mapped "$gone"
breaks no_second_mapped "$not_owned"
breaks no_second_mapped "$other_vma" no_upgrade
breaks no_mapping_recheck "$not_owned"
breaks no_lock_seq "$written"
breaks mapping_before_seq "$not_owned"
breaks no_mmgrab "$freed_mm"
breaks no_wakeup 'invalid end state'
breaks join_nobody "$written"
breaks no_start_write "$not_owned"
breaks no_exit_write "$not_owned"
breaks no_reown "$left_owned"
echo "# the logs are in $logs"
echo "$((total - failed)) passed, $failed failed, 0 skipped"
[ $failed = 0 ]
