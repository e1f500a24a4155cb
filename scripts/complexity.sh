#!/bin/sh
# complexity.sh: write docs/complexity.rst: how much the series adds, and of what.
. "$(dirname "$0")/common.sh"

for variant in base series; do
	"$TOP/scripts/build.sh" $variant plain
done
count=$(patches | wc -l)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# The kernels have no debug information; one object of each has the structs.
for step in 0 "$count"; do
	run_logged "$RUN_LOGS/pahole.log" "$TOP/scripts/objects.sh" "$step" KCFLAGS=-gdwarf-4 mm/rmap.o
	cp "$CACHE/step/$ARCH-objects/mm/rmap.o" "$tmp/$step.o"
done
python3 "$TOP/scripts/complexity.py" --git "$GIT_DIR_LINUX" --base "$("$TOP/scripts/fetch.sh")" \
	--series "$("$TOP/scripts/source.sh" series commit)" --source "$CACHE/base/src" \
	--kernels "$CACHE/base/$ARCH-plain/vmlinux" "$CACHE/series/$ARCH-plain/vmlinux" \
	--objects "$tmp/0.o" "$tmp/$count.o" --label "$version, $ARCH, $("clang$clang_suffix" --version | head -n 1 | sed 's/ (.*//')" \
	>"$tmp/complexity.rst"
cp "$tmp/complexity.rst" "$TOP/docs/complexity.rst"
stage "wrote docs/complexity.rst"
