#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Do the figures that the texts quote agree with the generated files that they come from?

bench.py check does that for docs/bench.json; this is for docs/complexity.rst, check.txt, waits.txt
and bound.txt.
"""
import re
import sys

sys.dont_write_bytecode = True
from bench import TOP, read_text  # noqa: E402

COVER, DESIGN = 'series/cover-letter', 'docs/design.rst'


def read(name):
    return read_text(f'{TOP}/{name}')


def complexity():
    """Lines of the core, of its C files without comments, of patches; files; functions."""
    text = read('docs/complexity.rst')
    core = re.search(r'^core +(\d+) +(\d+) +\+(\d+) -(\d+) +\+(\d+) ', text, re.M)
    first = re.search(r'^Core of patches 1 to 8 together: \+(\d+) ', text, re.M)[1]
    yield COVER, r'patches 1 to 8,\s+adds\s+(\d+)\s+lines', first
    yield COVER, r'complexity: under mm/ and include/, \+(\d+)', core[3]
    yield COVER, r'-(\d+) lines in \d+ files, against', core[4]
    yield COVER, r'lines in (\d+) files, against', int(core[1]) + int(core[2])
    yield COVER, r'(\d+) of those added are\s+code', core[5]
    last = [tuple(map(int, lines)) for lines in re.findall(r'^[5-8] .*? \+(\d+) -(\d+) ', text, re.M)]
    yield COVER, r'Patches 5 to 8, \+(\d+)', sum(lines[0] for lines in last)
    yield COVER, r'Patches 5 to 8, \+\d+ -(\d+)', sum(lines[1] for lines in last)
    functions = re.search(r'^functions +(\d+) added, (\d+) changed', text, re.M)
    yield COVER, r'over (\d+) functions that are new', functions[1]
    yield COVER, r'and (\d+) that\s+change', functions[2]
    yield COVER, r'Cyclomatic complexity \+(\d+)', re.search(r'^cyclomatic complexity +\+(\d+)', text, re.M)[1]


def check():
    """Cases that passed, were skipped."""
    rows = {name: tuple(map(int, counts)) for name, *counts in re.findall(
        r'^(\S+): (?:SKIP )?(\d+) passed, 0 failed, (\d+) skipped$', read('docs/check.txt'), re.M)}
    for folder, cases, programs in (('anon_owner', r'(\d+)\s+cases in \d+ programs', r'cases\s+in (\d+) programs'),
                                    ('anon_owner_inject', r'(\d+) cases in three', None)):
        counts = [sum(row) for name, row in rows.items() if name.startswith(f'x86_64/{folder}:')]
        yield COVER, cases, sum(counts)
        if programs:
            yield COVER, programs, len(counts)
    yield COVER, r'KUnit: (\d+) passed in the test kernel', rows['kunit-x86_64'][0]
    yield COVER, r'nothing is ever marked, (\d+) passed', rows['kunit-um'][0]
    yield COVER, r'passed and (\d+) skipped with their\s+reason', rows['kunit-um'][1]


def waits():
    """Percent of the calls beside migration, x86_64."""
    rows = re.search(r'^migration .*?\n\n', read('docs/waits.txt') + '\n\n', re.M | re.S)[0]
    below = {row[0]: row[1:] for row in re.findall(r'^< (\d+) us +(\S+) +(\S+)$', rows, re.M)}
    for text in COVER, DESIGN:
        yield text, r'constant migration (\d+) % of the calls', f'{float(below["262"][1]):.0f}'
        yield text, r'less\s+than\s+262\s+us,\s+(\d+) %\s+on\s+the\s+base', f'{float(below["262"][0]):.0f}'
        yield text, r'and\s+([\d.]+) %\s+more\s+than\s+2\s+ms', f'{100 - float(below["2097"][1]):.1f}'
        yield text, r'more\s+than\s+2\s+ms,\s+([\d.]+) %\s+on\s+the\s+base', f'{100 - float(below["2097"][0]):.1f}'


def bound():
    """The rows of the table."""
    for row in read('docs/bound.txt').splitlines():
        if '%' in row:
            yield DESIGN, f'({re.escape(row.strip())})', row.strip()


def main():
    wrong, count = [], 0
    for source in complexity, check, waits, bound:
        for text, pattern, value in source():
            said = re.findall(pattern, read(text))
            count += 1
            if said != [str(value)]:
                wrong.append(f'{text} says {", ".join(said) or "nothing"} for {pattern}, '
                             f'docs/{source.__name__}.*: {value}')
    if wrong:
        sys.exit('\n'.join(wrong))
    print(f'{count} figures agree with the files that they come from')


if __name__ == '__main__':
    main()
