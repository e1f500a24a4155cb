#!/bin/sh
# rfc_test.sh: make rfc with a dummy identity: what it refuses, what the mails say, that git am and
# b4 shazam make the series' tree of them, and what git send-email would send. Sends nothing.
. "$(dirname "$0")/common.sh"

tmp=$(mktemp -d "$CACHE/rfc-test.XXXXXX")
trap 'rm -rf "$tmp"; linux_git worktree prune; linux_git update-ref -d "refs/heads/$BRANCH"' EXIT
# Nobody's settings, cache or mail account.
mkdir "$tmp/home"
export HOME=$tmp/home XDG_CACHE_HOME=$tmp/home XDG_CONFIG_HOME=$tmp/home GIT_CONFIG_GLOBAL=$tmp/home/git
unset OUT FROM ASSISTED_BY ASSISTANCE BASE_COMMIT REPO
export BRANCH=${tmp##*/}
git config --file "$tmp/home/git" user.name 'A Maintainer'
git config --file "$tmp/home/git" user.email 'maintainer@example.org'
git config --file "$tmp/home/git" b4.attestation-policy off

linux_git() { plain_git --git-dir="$GIT_DIR_LINUX" "$@"; }
is() { [ "$2" = "$3" ] || die "$1: '$2' is not '$3'"; }
who='Dummy S. Ubmitter <dummy@example.org>'

# This repository as it is here, with a history of its own.
repo=$tmp/repo
mkdir "$repo"
(cd "$TOP" && cp -r Makefile README.md configs docs scripts series "$repo/")
git init -q "$repo"
commit() { git -C "$repo" add -A && git -C "$repo" commit -q -m x; }
commit
rfc() { "$repo/scripts/rfc.sh" >"$tmp/log" 2>&1; }
run_rfc() { rfc || { cat "$tmp/log" >&2; die "make rfc fails"; }; }

for from in '' dummy@example.org 'Dummy' '<dummy@example.org>' 'Dummy <dummy>'; do
	! FROM=$from ASSISTED_BY=none OUT=$tmp/none rfc || die "make rfc takes FROM='$from'"
done
! FROM=$who OUT=$tmp/none rfc || die "make rfc does without ASSISTED_BY"
[ ! -e "$tmp/none" ] || die "a refused make rfc leaves mails"

printf 'Assistance\n==========\n\nNone of this is real.\n' >"$tmp/assistance"
export FROM="$who"
ASSISTED_BY='LLM sparse' ASSISTANCE=$tmp/assistance REPO='https://example.org/it?a=1&b=2' OUT=$tmp/mails run_rfc
count=$(patches | wc -l)
is "mails" "$(ls "$tmp/mails" | wc -l)" $((count + 1))
n=0
for mail in "$tmp/mails"/*; do
	grep -qE "^Subject: \[RFC PATCH 0*$n/$count\] [^*]" "$mail" || die "$mail: no good subject"
	for want in 'From: "Dummy S. Ubmitter" <dummy@example.org>' "Signed-off-by: $who" "Assisted-by: LLM sparse"; do
		is "$mail: $want" "$(grep -cFx "$want" "$mail")" 1
	done
	sed '/^$/q' "$mail" >"$tmp/head"
	grep -q '^To: .*@' "$tmp/head" && grep -q '^Cc: .*@' "$tmp/head" && grep -q 'linux-mm@kvack\.org' "$tmp/head" ||
		die "$mail: To or Cc is missing"
	! grep -q 'Seed \|noreply' "$mail" || die "$mail still has the placeholder of series/"
	n=$((n + 1))
done
cover=$tmp/mails/0000-cover-letter.patch
base=$("$TOP/scripts/fetch.sh")
for want in "base-commit: $base" "None of this is real." "[4] https://example.org/it?a=1&b=2"; do
	grep -qFx "$want" "$cover" || die "the cover letter has no line '$want'"
done
grep -q ' files changed, .* insertions' "$cover" || die "the cover letter has no diffstat"
sed '1,/^$/d; s/[[:space:]]*$//; /^\[4\] /d' "$TOP/series/cover-letter" | while IFS= read -r line; do
	grep -qFx -e "$line" "$cover" || die "the cover letter lacks: $line"
done
# shellcheck disable=SC2046
(cd "$CACHE/series/src" && scripts/checkpatch.pl --strict --quiet --ignore "$checkpatch_ignore" \
	$(find "$tmp/mails" -name '*.patch' ! -name '0000-*') 2>>"$tmp/err") || die "checkpatch has something to say about the mails"

want=$(linux_git rev-parse "$("$TOP/scripts/source.sh" series commit)^{tree}")
tree=$tmp/tree
# shellcheck disable=SC2046
sparse_worktree "$tree" "$base" $(patches)
git -C "$tree" am -q "$tmp/mails"/*[1-9]*.patch >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; die "git am refuses the mails"; }
is "the tree of git am" "$(git -C "$tree" rev-parse 'HEAD^{tree}')" "$want"
git -C "$tree" checkout -q --detach "$base"
cat "$tmp/mails"/*.patch >"$tmp/mbox"
id=$(sed -n 's/^Message-I[dD]: <\(.*\)>$/\1/p' "$cover")
(cd "$tree" && b4 --offline-mode shazam -m "$tmp/mbox" "$id") >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; die "b4 shazam refuses the mails"; }
is "the tree of b4 shazam" "$(git -C "$tree" rev-parse 'HEAD^{tree}')" "$want"
is "the author of b4 shazam's commits" "$(git -C "$tree" log -1 --format='%an <%ae>')" "$who"

git -C "$tree" checkout -q "$BRANCH"
(cd "$tree" && b4 --offline-mode prep --enroll "$base") >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; die "b4 prep refuses the branch"; }
grep -q "Will track $count commits" "$tmp/log" || die "b4 prep does not track $count commits: $(cat "$tmp/log")"

send() {
	(cd "$tree" && git send-email --confirm=never --suppress-cc=self --quiet \
		--sendmail-cmd="$tmp/sink" "$@" "$tmp/mails"/*.patch) >"$tmp/log" 2>&1 </dev/null ||
		{ cat "$tmp/log" >&2; die "git send-email $* fails"; }
}
mkdir "$tmp/sent"
cat >"$tmp/sink" <<EOF
#!/bin/sh
echo "\$*" >"$tmp/sent/\$\$.to" && cat >"$tmp/sent/\$\$"
EOF
chmod +x "$tmp/sink"
send --dry-run
is "mails that a dry run sends" "$(ls "$tmp/sent" | wc -l)" 0
send
is "mails in the sink" "$(find "$tmp/sent" -name '*.to' | wc -l)" $((count + 1))
is "mails to the list" "$(cat "$tmp/sent"/*.to | grep -c 'linux-mm@kvack\.org')" $((count + 1))
is "threads" "$(cat "$tmp/sent"/* | grep -ci '^In-Reply-To: ')" "$count"

linux_git worktree remove --force "$tree"
# A second version, the first of whose patches has another subject.
git -C "$repo" tag rfc-v1
first=$(ls "$repo/series"/0001-*.patch)
sed -i 's/^Subject: .*/Subject: [PATCH] checkpatch: another subject/' "$first"
commit
ASSISTED_BY=none OUT=$tmp/mails run_rfc
is "mails of version 2" "$(ls "$tmp/mails"/v2-* | wc -l)" "$(ls "$tmp/mails" | wc -l)"
cover=$tmp/mails/v2-0000-cover-letter.patch
grep -q "^Subject: \[RFC PATCH v2 0*0/$count\]" "$cover" || die "version 2 does not say so"
grep -q '^Range-diff against v1:' "$cover" && grep -q '^ *1: .* !  *1: ' "$cover" &&
	grep -q '^ *+ *checkpatch: another subject$' "$cover" ||
	die "the cover letter of version 2 has no range-diff"
! grep -q '^Assisted-by' "$tmp/mails"/* || die "ASSISTED_BY=none has mails with Assisted-by"
stage "make rfc: $((count + 1)) mails; git am, b4 shazam and git send-email take them"
