#!/bin/sh
# noderef_test.sh: with the flags of a file of the built test kernel, a dereference of vma->anon_vma
# does not compile, and the accessor does.
. "$(dirname "$0")/common.sh"

out=$CACHE/test/$ARCH-${CONFIG:-debug}
command=$(sed -n 's/^savedcmd_mm\/vma.o := //p' "$out/mm/.vma.o.cmd" | sed 's/ -c -o .*//')
[ -n "$command" ] || die "the test kernel is not built: $out/mm/.vma.o.cmd"

# compiles EXPRESSION: says what the compiler does
compiles() {
	cat <<-EOF >"$RUN_LOGS/noderef.c"
	#include <linux/rmap.h>
	static struct anon_vma *root(struct vm_area_struct *vma) { return $1; }
	EOF
	(cd "$out" && sh -c "$command -Wno-unused-function -fsyntax-only $RUN_LOGS/noderef.c") 2>&1
}

mkdir -p "$RUN_LOGS"
compiles 'anon_vma_deref(vma->anon_vma)->root' || die "the accessor does not compile"
for expression in 'vma->anon_vma->root' 'vma->anon_vma'; do
	said=$(compiles "$expression") && die "this compiles: $expression"
	case $said in *noderef*) echo "refused: $expression" ;; *) die "refused for another reason: $said" ;; esac
done
