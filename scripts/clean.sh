#!/bin/sh
# clean.sh: remove the build folders and logs; keep the download, the imported base, the compiler
# cache and the tree of make tree.
. "$(dirname "$0")/common.sh"

for variant in base series test step; do
	lock $variant
	for dir in "$CACHE/$variant"/*; do
		[ "${dir##*/}" = src ] || rm -rf "$dir"
	done
done
rm -rf "$CACHE/logs"
