#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Write the page on what the series adds: docs/complexity.rst, on standard output.

Every number is counted from the two trees, by the rule that the page states beside it.
"""
import argparse
import collections
import contextlib
import difflib
import io
import os
import re
import subprocess
import sys
import tempfile

# Message id 20260527110147.17815-1-tao.wangtao@honor.com, from its diffstat and description.
LAZY = {'files': '28', 'lines': '+1279 -206', 'rmap': '690 lines of the diffstat', 'tests': '0',
        'configs': 'one for each architecture', 'switches': '1 (run-time switch)',
        'fields': 'a VMA reference count', 'modes': '2 (root VMA; TREE_PARENT for forked children)'}
LOCK_TYPES = (r'\b(?:(?:raw_)?spinlock_t|rwlock_t|seqlock_t|seqcount\w*_t|wait_queue_head_t|lockdep_map|'
              r'refcount_t|struct (?:mutex|rw_semaphore|percpu_rw_semaphore|semaphore|completion|srcu_struct))'
              r'\s+\w+\s*(?:[;=,\[]|____)|\bDEFINE_(?:\w*LOCK|MUTEX|SEMAPHORE|\w*RWSEM|\w*SRCU|WAIT\w*)\b')
LOCK_CALLS = (r'\b((?:raw_)?spin_(?:un|try)?lock\w*|(?:read|write)_(?:un)?lock\w*|mutex_\w*lock\w*|'
              r'(?:down|up)_(?:read|write)\w*|rcu_read_(?:un)?lock|vma_start_\w+|vma_end_\w+|'
              r'vma_refcount_put|mmap_(?:read|write)_\w*lock\w*|mmgrab|mmdrop|folio_(?:un|try)?lock|'
              r'anon_vma_(?:un|try)?lock\w*|\w+_unlock_read|folio_lock_anon_vma_read|folio_get_anon_vma|'
              r'get_anon_vma|put_anon_vma)\s*\(')
ALLOCATIONS = r'\b((?:kmem_cache|k[mzv]\w*|anon_vma(?:_chain)?|__?get_free_page\w*)_?alloc\w*)\s*\('
BARRIERS = r'\b((?:smp_|dma_)?(?:r|w)?mb|smp_\w+|READ_ONCE|WRITE_ONCE|\w*cmpxchg\w*|atomic\w+)\s*\('
INTERFACES = (
    ('configuration options', r'^(?:menu)?config +(\w+)', 'Kconfig lines ``config X``'),
    ('sysctls', r'\.procname\s*=\s*"(\w+)"', '``.procname =``'),
    ('boot and module parameters', r'\b(?:early_param|__setup|core_param|module_param\w*)\s*\(\s*"?(\w+)',
     '``early_param()``, ``__setup()``, ``core_param()``, ``module_param*()``'),
    ('files in /proc, sysfs, debugfs', r'\b(?:proc_create\w*|debugfs_create\w*|__ATTR\w*|DEVICE_ATTR\w*)\s*\(\s*"?(\w+)',
     '``proc_create*()``, ``debugfs_create*()``, ``__ATTR*()``, ``DEVICE_ATTR*()``'),
    ('exported symbols', r'\bEXPORT_SYMBOL\w*\s*\(\s*(\w+)', '``EXPORT_SYMBOL*()``'),
    ('system calls', r'\bSYSCALL_DEFINE\d\s*\(\s*(\w+)', '``SYSCALL_DEFINE*()``'),
    ('static keys', r'\b(?:DEFINE|DECLARE)_STATIC_KEY\w*\s*\(\s*(?:CONFIG_\w+,\s*)?(\w+)', '``DEFINE_STATIC_KEY*()``'),
    ('trace events', r'\b(?:TRACE_EVENT\w*|DEFINE_EVENT\w*)\s*\(\s*(\w+)', '``TRACE_EVENT()``, ``DEFINE_EVENT()``'),
)
FLAGS = r'(?:__)?(?:VM|VMA|PG|MMF|TTU|RMP|GFP|FGP|FOLL|FOLIO|PAGE|MIGRATE|FPB|FAULT)_\w+'


def run(*command, check=True, **kwargs):
    return subprocess.run(command, check=check, stdout=subprocess.PIPE, text=True, errors='replace', **kwargs).stdout


def kind(path):
    """The class of a file."""
    if path.startswith('tools/testing/') or path.startswith('lib/'):
        return 'tests'
    if path.startswith('Documentation/') or path == 'MAINTAINERS':
        return 'docs'
    if path.startswith(('mm/', 'include/')):
        return 'core'
    return 'other'


def code(text):
    """The C text without comments and empty lines."""
    text = re.sub(r'//[^\n]*|/\*.*?\*/|("(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')',
                  lambda match: match[1] or ' ', text, flags=re.S)
    return '\n'.join(line.rstrip() for line in text.split('\n') if line.strip()) + '\n'


def changed_lines(before, after):
    """How many lines an -U0 diff adds and removes."""
    added = removed = 0
    for tag, i, j, k, m in difflib.SequenceMatcher(None, before.split('\n'), after.split('\n'), False).get_opcodes():
        if tag != 'equal':
            removed, added = removed + j - i, added + m - k
    return added, removed


def functions(text, figures):
    """{name: [(body, complexity or None)]} of a C file: a brace in column one after a line that is no
    initializer opens a function, one in column one closes it."""
    found, lines, start = collections.defaultdict(list), text.split('\n'), 0
    for number, line in enumerate(lines):
        if line.startswith('{'):
            head = number
            while head > start and not re.match(r'\s*$|[}#]|.*[;}]\s*$| ?\*|.*\*/\s*$', lines[head - 1]):
                head -= 1
            header = ' '.join(lines[head:number])
            name = re.search(r'(\w+)\s*\((?!\()', re.sub(r'__attribute__\s*\(\(.*?\)\)|__(?:printf|releases|acquires|must_hold|counted_by)\([^)]*\)', '', header))
            end = next((n for n in range(number, len(lines)) if lines[n].startswith('}')), len(lines) - 1)
            if name and '=' not in header:
                figure = next((value for first, value in figures.items() if head < first <= number + 1), None)
                found[name[1]].append(('\n'.join(lines[head:end + 1]), figure))
            start = end + 1
    return found


def mccabe(text):
    """{line of the definition: cyclomatic complexity}, by pmccabe."""
    with tempfile.NamedTemporaryFile('w', suffix='.c') as file:
        file.write(text)
        file.flush()
        rows = run('pmccabe', file.name, check=False, stderr=subprocess.DEVNULL).splitlines()
    return {int(re.search(r'\((\d+)\)', row.split('\t')[5])[1]): int(row.split('\t')[1])
            for row in rows if row.count('\t') >= 5}


def blocks(text, word):
    """{name: [member]} of the structs, unions or enums that begin in column one."""
    found = {}
    for match in re.finditer(rf'^(?:typedef )?{word}(?: (\w+))? \{{\n(.*?)^\}}', text, re.M | re.S):
        if word == 'enum':
            members = re.findall(r'^\s*(\w+)\s*(?:=[^,]*)?,?\s*$', match[2], re.M)
        else:
            members = re.findall(r'(\w+)\s*(?:\[[^]]*\])*(?:\s*:\s*\w+)?\s*(?:__\w+(?:\([^)]*\))?\s*)*;', match[2])
        found.setdefault(match[1] or '(no name)', []).extend(members)
    return found


def count(pattern, texts):
    return collections.Counter(match if isinstance(match, str) else match[0]
                               for text in texts for match in re.findall(pattern, text, re.M))


def table(header, rows):
    """An RST table; the widths are those of the longest cells."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    line = ' '.join('=' * width for width in widths)

    def text(row):
        # An empty first cell would continue the row above.
        row = [row[0] or '\\', *row[1:]]
        return ' '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
    return '\n'.join([line, text(header), line, *map(text, rows), line]) + '\n'


def section(title):
    return f'\n{title}\n{"=" * len(title)}\n'


class Series:
    def __init__(self, args):
        self.args = args
        names = self.git('diff', '--name-status', '--no-renames', args.base, args.series)
        self.status = dict(reversed(row.split('\t')) for row in names.splitlines())
        self.text = {path: (self.show(args.base, path), self.show(args.series, path)) for path in self.status}
        self.code = {path: tuple(code(text) for text in pair) for path, pair in self.text.items()
                     if path.endswith(('.c', '.h'))}

    def git(self, *command):
        return run('git', '--git-dir', self.args.git, *command)

    def show(self, commit, path):
        return run('git', '--git-dir', self.args.git, 'show', f'{commit}:{path}', check=False, stderr=subprocess.DEVNULL)

    def numstat(self, *commits):
        rows = self.git('diff', '--numstat', '--no-renames', *commits).splitlines()
        return {path: (int(plus), int(minus)) for plus, minus, path in (row.split('\t') for row in rows)}

    def core(self, side):
        return [pair[side] for path, pair in self.code.items() if kind(path) == 'core']

    def size(self):
        print(section('Lines'))
        print('*core* is every file under mm/ and include/, *tests* those under tools/testing/ and lib/ (KUnit),\n'
              '*docs* Documentation/ and MAINTAINERS, *other* the rest. *code* is C without comments and empty\n'
              'lines, compared with the base in the same form.\n')
        numbers = self.numstat(self.args.base, self.args.series)
        rows = []
        for name in 'core', 'tests', 'docs', 'other', 'all':
            paths = [path for path in numbers if name in ('all', kind(path))]
            plus, minus = (sum(numbers[path][n] for path in paths) for n in (0, 1))
            changes = [changed_lines(*self.code[path]) for path in paths if path in self.code]
            new = sum(self.status[path] == 'A' for path in paths)
            rows.append((name, len(paths) - new, new, f'+{plus} -{minus}',
                         f'+{sum(a for a, _ in changes)} -{sum(r for _, r in changes)}' if changes else '--'))
        self.sizes = {row[0]: row for row in rows}
        print(table(('', 'files changed', 'new files', 'lines', 'code'), rows))
        print('By patch:\n')
        commits, rows = self.git('rev-list', '--reverse', f'{self.args.base}..{self.args.series}').split(), []
        for number, commit in enumerate(commits, 1):
            cells = []
            for name in 'core', 'tests', 'docs', 'other':
                hits = [value for path, value in self.numstat(commit + '^', commit).items() if kind(path) == name]
                cells.append(f'+{sum(a for a, _ in hits)} -{sum(r for _, r in hits)}' if hits else '--')
            rows.append((number, self.git('log', '-1', '--format=%s', commit).strip().replace('->', '-\\>'), *cells))
        print(table(('patch', '', 'core', 'tests', 'docs', 'other'), rows))
        last = next((n for n, row in enumerate(rows) if row[2] == '--'), len(rows))
        hits = [value for path, value in self.numstat(self.args.base, commits[last - 1]).items() if kind(path) == 'core']
        print(f'Core of patches 1 to {last} together: +{sum(a for a, _ in hits)} -{sum(r for _, r in hits)}.\n')

    def subsystems(self):
        print(section('Core files and subsystems'))
        print('A subsystem is a section of MAINTAINERS, other than THE REST, that get_maintainer names for the file.\n')
        numbers, rows, names = self.numstat(self.args.base, self.args.series), [], set()
        for path, (plus, minus) in numbers.items():
            if kind(path) != 'core':
                continue
            found = []
            if self.status[path] != 'A':
                output = run('scripts/get_maintainer.pl', '--subsystem', '--no-git', '--no-git-fallback',
                             '--no-rolestats', '-f', path, cwd=self.args.source)
                found = [line for line in output.splitlines() if '@' not in line and line != 'THE REST']
            names.update(found)
            label = {'A': ' (new)', 'D': ' (removed)'}.get(self.status[path], '')
            rows.append((path + label, f'+{plus} -{minus}', '; '.join(found) or '--'))
        print(table(('file', 'lines', 'subsystems'), rows))
        self.subsystem_count = len(names)
        print(f'{len(rows)} files, {len(names)} subsystems.\n')

    def complexity(self):
        print(section('Functions of the core'))
        print('Cyclomatic complexity by pmccabe (its traditional count: each case of a switch counts). A function\n'
              'has changed if its text has, a comment or another name of a type included. A name that is there\n'
              'more than once (``#ifdef``) has all its figures added up. pmccabe does not preprocess: what a macro\n'
              'hides does not count, nor does what follows an ``#else``. A function that this script finds and\n'
              'pmccabe does not list has a ``?``.\n')
        rows, totals, unknown, self.changed = [], collections.Counter(), 0, collections.Counter()
        for path, pair in self.text.items():
            if kind(path) != 'core' or not path.endswith(('.c', '.h')):
                continue
            sides = [functions(text, mccabe(text)) for text in pair]
            unknown += sum(figure is None for bodies in sides[1].values() for _, figure in bodies)
            totals['functions'] += sum(map(len, sides[1].values()))
            for name in dict.fromkeys((*sides[1], *sides[0])):
                before, after = (side.get(name, []) for side in sides)
                if [body for body, _ in before] == [body for body, _ in after]:
                    continue
                figures = [None if any(value is None for _, value in side) else sum(value for _, value in side)
                           for side in (before, after)]
                what = 'added' if not before else 'removed' if not after else 'changed'
                self.changed[what] += 1
                if None not in figures:
                    totals['delta'] += figures[1] - figures[0]
                    totals[what] += figures[1] - figures[0]
                else:
                    totals['lost'] += 1
                shown = [('?' if figure is None else figure) if side else '--'
                         for side, figure in zip((before, after), figures)]
                delta = '?' if None in figures else f'{figures[1] - figures[0]:+d}'
                rows.append((f'{name}()', path, what, *shown, delta))
        self.totals = totals
        print(table(('function', 'file', '', 'base', 'series', 'change'), rows))
        print(f'{self.changed["added"]} added (complexity {totals["added"]:+d}), {self.changed["changed"]} changed '
              f'({totals["changed"]:+d}), {self.changed["removed"]} removed ({totals["removed"]:+d}): '
              f'{totals["delta"]:+d} in all. Of these functions pmccabe gives no figure\nfor {totals["lost"]}; of the '
              f'{totals["functions"]} functions in the touched core files of the series it lists all but {unknown}.\n')

    def vocabulary(self):
        print(section('What the core adds besides functions'))
        base, series = self.core(0), self.core(1)
        everything = [[pair[side] for pair in self.text.values()] for side in (0, 1)]
        rows = []

        def row(what, before, after, rule):
            new, gone = after - before, before - after
            names = ', '.join(sorted(f'{name} {n:+d}' if n != 1 else name for name, n in
                                     [*new.items(), *((name, -n) for name, n in gone.items())]))
            rows.append((what, f'+{sum(new.values())} -{sum(gone.values())}', names or '--', rule))
            return sum(new.values())

        def macros(texts):
            return count(r'^\s*#\s*define\s+(\w+)', texts)

        def members(texts, word):
            return collections.Counter(f'{name}.{member}' for text in texts
                                       for name, fields in blocks(text, word).items() for member in fields)

        bits = count(r'^\s*#\s*define\s+(FOLIO_MAPPING_\w+)\s+\(?(?:0x|BIT|1\s*<<)', series) - \
            count(r'^\s*#\s*define\s+(FOLIO_MAPPING_\w+)\s+\(?(?:0x|BIT|1\s*<<)', base)
        self.states = 2 * len(bits)
        rows.append(('states', f'+{self.states}', ', '.join(bits) or '--',
                     'a tag bit is a new meaning of two words, ``folio->mapping`` and ``vma->anon_vma``: 2 for each new '
                     '``FOLIO_MAPPING_`` bit'))
        write = r'(\b\w+->{0})\s*=(?!=)|(?:WRITE_ONCE\(\s*|smp_store_release\(\s*&)(\w+->{0})\s*,'

        def writes(texts, field):
            return collections.Counter(a or b for text in texts
                                       for a, b in re.findall(write.format(field), text))
        self.transitions = row('transitions of vma->anon_vma', writes(base, 'anon_vma'), writes(series, 'anon_vma'),
                               'assignments to a field ``anon_vma``, ``WRITE_ONCE()`` and ``smp_store_release()`` included')
        self.transitions += row('transitions of folio->mapping', writes(base, 'mapping'), writes(series, 'mapping'),
                                'likewise, ``mapping``')
        self.locks = row('locks and counters', count(LOCK_TYPES, base), count(LOCK_TYPES, series),
                         'declarations of a lock type, wait queue, completion or ``refcount_t``')
        self.orders = row('lock orders', *(collections.Counter(self.lock_order(side)) for side in (0, 1)),
                          'lines of the lock ordering comment at the top of mm/rmap.c')
        row('lock and reference calls', count(LOCK_CALLS, base), count(LOCK_CALLS, series),
            'calls of functions that lock, unlock, pin or put, declarations included')
        row('barriers and atomics', count(BARRIERS, base), count(BARRIERS, series), 'their calls')
        row('allocations', count(ALLOCATIONS, base), count(ALLOCATIONS, series), 'calls of allocators')
        self.fields = row('fields', members(base, 'struct') + members(base, 'union'),
                          members(series, 'struct') + members(series, 'union'), 'members of structs and unions')
        row('enumerators', members(base, 'enum'), members(series, 'enum'), 'names in enums')
        flags = [collections.Counter({name: n for name, n in side.items() if re.fullmatch(FLAGS, name)})
                 for side in (macros(base), macros(series))]
        row('flags', *flags, 'macros named ``VM_*``, ``VMA_*``, ``PG_*``, ``MMF_*``, ``TTU_*``, ``FOLIO_*``, ``PAGE_*``, ``MIGRATE_*`` and the like')
        row('other macros', macros(base) - flags[0], macros(series) - flags[1], '``#define``')
        row('conditional compilation', count(r'^\s*#\s*if\w*\s+(.*)', base) + count(r'IS_ENABLED\((\w+)', base),
            count(r'^\s*#\s*if\w*\s+(.*)', series) + count(r'IS_ENABLED\((\w+)', series), '``#if``, ``#ifdef``, ``IS_ENABLED()``')
        self.interfaces = {}
        for what, pattern, rule in INTERFACES:
            if what.startswith('config'):
                sides = [count(pattern, [pair[side] for path, pair in self.text.items()
                                         if 'Kconfig' in path and kind(path) != 'tests']) for side in (0, 1)]
                tests = [count(pattern, [pair[side] for path, pair in self.text.items()
                                         if 'Kconfig' in path and kind(path) == 'tests']) for side in (0, 1)]
                self.interfaces[what] = row(what, *sides, rule)
                row('configuration options of tests', *tests, rule)
            else:
                self.interfaces[what] = row(what, count(pattern, base), count(pattern, series), rule)
        print('Counted in the C code of the core files without comments, base against series; a name that moved\n'
              'between two touched files does not count.\n')
        for what, number, names, rule in rows:
            print(f'**{what}: {number}**\n  {escape(names)}.\n  *Rule:* {rule}.\n')
        self.vocabulary_counts = {what: number for what, number, _, _ in rows}

    def lock_order(self, side):
        text = self.text.get('mm/rmap.c', ('', ''))[side]
        comment = re.search(r'Lock ordering in mm:.*?\*/', text, re.S)
        return [' '.join(line.strip(' *\t/').split()) for line in comment[0].split('\n')] if comment else []

    def objects(self):
        print(section('Object size'))
        print('``scripts/bloat-o-meter`` of the base tree on the two vmlinux, without debug options; all functions\n'
              f'that differ ({self.args.label}).\n')
        output = run('python3', 'scripts/bloat-o-meter', '-c', *self.args.kernels, cwd=self.args.source).splitlines()
        rows, summary = [], []
        for line in output:
            if match := re.match(r'(\S+) +(\d+|-) +(\d+|-) +([+-]\d+)$', line):
                rows.append(match.groups())
            elif line.startswith(('add/remove', 'Total')):
                summary.append(line)
        print(table(('symbol', 'base', 'series', 'change'), [(escape(row[0]), *('--' if c == '-' else c for c in row[1:])) for row in rows]))
        print('::\n')
        for name, pair in zip(('functions', 'data', 'read-only data'), zip(summary[::2], summary[1::2])):
            print(f'    {name}: {pair[0]}\n    {pair[1]}')
        self.total = re.search(r'Before=(\d+), After=(\d+)', summary[1])
        print(section('Structs'))
        print('``pahole`` on mm/rmap.o of the same configuration with debug information.\n')
        rows = []
        for name in 'vm_area_struct', 'anon_vma', 'anon_vma_chain', 'folio', 'mm_struct':
            cells = []
            for path in self.args.objects:
                output = run('pahole', '-C', name, path)
                # The last one: those before it are of the structs inside.
                sizes = re.findall(r'^\t/\* size: (\d+), cachelines: (\d+), members: (\d+)', output, re.M)
                if not sizes:
                    raise ValueError(f'pahole knows no struct {name} in {path}')
                cells += sizes[-1]
            rows.append((name, *(f'{a} / {b}' if a != b else a for a, b in zip(cells[:3], cells[3:]))))
        print('base / series where they differ:\n')
        print(table(('struct', 'bytes', 'cache lines', 'members'), rows))

    def summary(self):
        print(section('In short'))
        print('How each is counted is said below, with the names.\n')
        core, what, changed = self.sizes['core'], self.vocabulary_counts, self.changed
        rows = [('lines of the core', core[3]), ('of them code', core[4]),
                ('files of the core', f'{core[1]} changed, {core[2]} new'),
                ('subsystems', self.subsystem_count),
                ('functions', f'{changed["added"]} added, {changed["changed"]} changed, {changed["removed"]} removed'),
                ('cyclomatic complexity', f'{self.totals["delta"]:+d}')]
        rows += [(name, what[name]) for name in (
            'states', 'transitions of vma->anon_vma', 'transitions of folio->mapping', 'locks and counters',
            'lock orders', 'fields', 'flags', 'configuration options', 'sysctls', 'boot and module parameters',
            'exported symbols')]
        if self.args.kernels:
            before, after = map(int, self.total.groups())
            rows.append(('bytes of functions in vmlinux', f'{after - before:+d} ({100 * (after - before) / before:+.2f} %)'))
        print(table(('', 'the core adds'), [(escape(name), cell) for name, cell in rows]))

    def beside(self):
        print(section('Beside others'))
        before, after = self.text['mm/rmap.c']
        cells = []
        for text in before, after:
            figures = mccabe(text)
            bodies = functions(text, figures)
            top = max((sum(f or 0 for _, f in side), name) for name, side in bodies.items())
            cells.append((text.count('\n'), code(text).count('\n'), sum(map(len, bodies.values())),
                          sum(figures.values()), f'{top[0]}, {top[1]}()'))
        print('mm/rmap.c alone:\n')
        print(table(('', 'base', 'series'), [(what, a, b) for what, a, b in zip(
            ('lines', 'code', 'functions', 'sum of complexity', 'largest'), *cells)]))
        core, rmap = self.sizes['core'], self.numstat(self.args.base, self.args.series)['mm/rmap.c']
        files = self.sizes['all'][1] + self.sizes['all'][2]
        print('ANON_VMA_LAZY as it was posted in May 2026 (20260527110147.17815-1-tao.wangtao\\@honor.com; its own\n'
              'diffstat and description, nothing of it was built or measured here):\n')
        tests = sum(kind(path) == 'tests' for path in self.status)
        print(table(('', 'this series', 'ANON_VMA_LAZY'), (
            ('files without tests and docs', core[1] + core[2] + self.sizes['other'][1], LAZY['files']),
            ('files in all', files, LAZY['files']),
            ('lines without tests and docs', core[3], LAZY['lines']),
            ('mm/rmap.c', f'+{rmap[0]} -{rmap[1]}', LAZY['rmap']),
            ('files of tests', tests, LAZY['tests']),
            ('ways to find the owner of a folio', self.states // 2, LAZY['modes']),
            ('configuration options', self.interfaces['configuration options'], LAZY['configs']),
            ('switches and parameters', self.interfaces['boot and module parameters'] + self.interfaces['sysctls']
             + self.interfaces['static keys'], LAZY['switches']),
            ('fields', self.fields, LAZY['fields']),
        )))


def escape(text):
    return re.sub(r'([*`|_\\])', r'\\\1', text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--git', required=True)
    parser.add_argument('--base', required=True)
    parser.add_argument('--series', required=True)
    parser.add_argument('--source', required=True, help='the work tree of the base')
    parser.add_argument('--kernels', nargs=2, metavar='VMLINUX')
    parser.add_argument('--objects', nargs=2, metavar='OBJECT')
    parser.add_argument('--label', default='')
    args = parser.parse_args()
    for name in 'kernels', 'objects':
        for path in getattr(args, name) or ():
            if not os.path.exists(path):
                raise OSError(f'there is no {path}')
    series = Series(args)
    print('.. Generated by make complexity; do not edit.\n')
    print('=' * 21 + '\nWhat the series costs\n' + '=' * 21 + '\n')
    print(f'Counted by a script from the base and the series ({args.label}).\n\n.. contents::\n   :depth: 1')
    with contextlib.redirect_stdout(io.StringIO()) as details:
        series.size()
        series.subsystems()
        series.complexity()
        series.vocabulary()
        if args.kernels:
            series.objects()
    series.summary()
    print(details.getvalue(), end='')
    series.beside()
    print(section('What these numbers cannot say'))
    print('* Few lines can be hard and many easy. Cyclomatic complexity counts branches of one function; what makes\n'
          '  an rmap change hard is which locks are held where, and no tool here counts that.\n'
          '* A state is counted where it is defined. What every reader of the word must now know is not counted:\n'
          '  docs/design.rst lists the readers.\n'
          '* An assignment is counted as a place, not as a transition that can happen; one place can serve several.\n'
          '* A lock order can be new without the comment changing. Lockdep in ``make check`` sees those that ran.\n'
          '* Sizes are of one configuration and compiler. Inlining moves bytes between functions.\n'
          '* The diffstat of another series was counted by its author, with other rules for what is core.\n'
          '* Nothing here says that the series is right, nor that it is worth its lines.')


if __name__ == '__main__':
    try:
        main()
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f'complexity.py: {error}')
