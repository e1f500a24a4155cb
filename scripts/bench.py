#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Turn what scripts/guest/{memory,ops}.c printed on base and series into tables and charts.

Usage: bench.py memory LOGS              print the memory table of one run
       bench.py collect LOGS ARCH...     write docs/bench.json, bench.rst and bench-*.svg
       bench.py apply                    write all that is made of docs/bench.json once more, and put
                                         the tables into the texts of the repository
       bench.py check [--current]        do all of them agree with docs/bench.json? Is it of this series?

A table in a text is all indented lines below a line 'Measured by make bench, NAME:'.
"""
import argparse
import glob
import hashlib
import html
import json
import math
import os
import re
import statistics
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VARIANTS = ('base', 'series')
TEXTS = ('README.md', 'docs/design.rst', 'series/cover-letter')
TITLE = re.compile(r'^Measured by make bench, (.+?)::?$')
# Less than this share is not called a change: what interrupts add is of that size.
NOISE = 0.01

# The operations of each chart and table, in the order of both.
GROUPS = {
    'fault': ('Faults, mapping and unmapping',
              ('mmap', 'first touch', 'second touch', 'munmap', 'exit',
               'fault in a threaded program')),
    'vma': ('Split, merge, move',
            ('mprotect split, first', 'mprotect split, later', 'merge back', 'split again',
             'munmap of three parts', 'merge, first', 'mremap move, first',
             'mremap move, later')),
    'fork': ('Fork',
             ('fork, first', 'fork, later', 'exit of first child', 'exit of later child',
              'fork+write 10 %+exit, first', 'fork+write 10 %+exit, later',
              'fork+exec+exit, first', 'fork+exec+exit, later', 'CoW fault after fork',
              'fork in a chain')),
    'reclaim': ('Swap, migration, KSM, for each page',
                ('MADV_PAGEOUT', 'swap in', 'reclaim to swap', 'swap in after reclaim',
                 'migration', 'migration back', 'MADV_MERGEABLE', 'KSM scan and merge')),
    'thp': ('Transparent huge pages',
            ('THP fault', 'THP split', 'mprotect split of a THP')),
    'lock': ('mmap_lock held for write',
             ('lock held: split, first', 'lock held: split, later', 'lock held: merge of two',
              'lock held: merge of three', 'lock held: mremap, first', 'lock held: mremap, later',
              'lock held: fork, first', 'lock held: fork, later', 'lock held: MERGEABLE')),
}


class Error(Exception):
    """The measurement or a text is not as it must be."""


def read(path):
    """Return the titles of the phases, {(phase, cache): [(objects, size)]}, {op: [cost]}."""
    titles, memory, ops, done = {}, {}, {}, False
    with open(path, encoding='utf-8', errors='replace') as file:
        for line in file:
            if row := re.match(r'phase (\S+) (.*)', line):
                titles[row[1]] = row[2].strip()
            elif row := re.match(r'mem (\S+) (\S+) (\d+) (\d+)\s*$', line):
                memory.setdefault((row[1], row[2]), []).append((int(row[3]), int(row[4])))
            elif row := re.match(r'op (.+): (\S+) (\d+) (\d+) (\d+)\s*$', line):
                cost = int(row[5]) / int(row[4])
                ops.setdefault((row[1], row[2], int(row[3])), []).append(cost)
            done = done or line.strip() == 'done'
    if not done or not memory and not ops:
        raise Error(f'{path}: {"cut short" if memory or ops else "no measurement"}')
    return titles, memory, ops


def read_both(logs, name):
    """Return the titles of a program's phases, and for each variant what it measured."""
    paths = [os.path.join(logs, variant, f'{name}.ktap') for variant in VARIANTS]
    both = [read(path) for path in paths]
    for index in (1, 2):
        for path, here, other in zip(paths, both, reversed(both)):
            if missing := other[index].keys() - here[index].keys():
                raise Error(f'{path} lacks ' + ', '.join(map(str, sorted(missing))))
    return both[0][0], *zip(*(rows[1:] for rows in both))


def digits(value):
    """Four digits are more than any of these is worth."""
    return round(value, max(0, 3 - math.floor(math.log10(abs(value))))) if value else 0


def describe(samples):
    return {'n': len(samples), 'min': digits(min(samples)),
            'median': digits(statistics.median(samples)), 'mean': digits(statistics.mean(samples)),
            'stddev': digits(statistics.stdev(samples)) if len(samples) > 1 else None,
            'max': digits(max(samples))}


def compare(base, series):
    """The ratio is that of the medians: an interrupt in one repetition does not count."""
    row = {'base': describe(base), 'series': describe(series)}
    middle = statistics.median(base)
    row['ratio'] = round(statistics.median(series) / middle, 4) if middle else None
    return row


def number(value, width, decimals=0):
    return f'{"-":>{width}}' if value is None else f'{value:{width}.{decimals}f}'


def memory_of(titles, both):
    """Return [{phase, title, caches: {cache: row}}]: objects of each cache, KiB of their sum."""
    phases = []
    for phase, title in titles.items():
        caches, kib = {}, [[], []]
        for at, cache in both[0]:
            if at == phase:
                caches[cache] = compare(*([count for count, size in rows[at, cache]]
                                          for rows in both))
                caches[cache]['size'] = [rows[at, cache][0][1] for rows in both]
        for variant, rows in enumerate(both):
            columns = [[count * size / 1024 for count, size in rows[phase, cache]]
                       for cache in caches]
            kib[variant] = [sum(column) for column in zip(*columns)]
        caches['sum'] = compare(*kib)
        phases.append({'phase': phase, 'title': title, 'caches': caches})
    return phases


def memory_table(phases):
    head = f'{"":19}' + ''.join(f'{variant:>22}' for variant in VARIANTS)
    lines = [head, f'{"active":19}' + 2 * f'{"objects":>8}{"stddev":>7}{"KiB":>7}' + f'{"ratio":>8}']
    for phase in phases:
        lines.append(phase['title'])
        for cache, row in phase['caches'].items():
            line = f'  {cache:17}'
            for variant, size in zip(VARIANTS, row.get('size', (0, 0))):
                stat = row[variant]
                line += (f'{stat["median"]:8.0f}{number(stat["stddev"], 7)}'
                         f'{stat["median"] * size / 1024:7.0f}') \
                    if size else f'{"":8}{"":7}{stat["median"]:7.0f}'
            ratio = '-' if row['ratio'] is None else f'{row["ratio"]:.3f}'
            lines.append(f'{line}{ratio:>8}')
    return lines


# ---------------------------------------------------------------------------- docs/bench.json

def series_id():
    """What was measured: the patches, without their messages, but for those that only add tests and
    documentation."""
    digest = hashlib.sha256()
    for path in sorted(glob.glob(f'{TOP}/series/[0-9]*.patch')):
        if not re.search(r'/[0-9]+-(lib|selftests|mm-document|checkpatch)-', path):
            with open(path, 'rb') as file:
                digest.update(file.read().partition(b'\ndiff --git ')[2])
    return digest.hexdigest()[:16]


def config_id(arch):
    digest = hashlib.sha256()
    for name in 'common', 'plain', arch:
        with open(f'{TOP}/configs/{name}.config', 'rb') as file:
            digest.update(file.read())
    return digest.hexdigest()[:16]


def collect(logs, arch):
    """Return what one architecture's part of the run measured."""
    result = {'ops': {}}
    for name in ('memory', 'decay', 'programs'):
        if name == 'programs' and not os.path.exists(f'{logs}/base/programs.ktap'):
            continue
        titles, memory, _ = read_both(logs, name)
        result[name] = memory_of(titles, memory)
    _, _, both = read_both(logs, 'ops')
    for key in both[0]:
        name, axis, x = key
        result['ops'].setdefault(name, {}).setdefault(axis, {})[str(x)] = \
            compare(both[0][key], both[1][key])
    with open(f'{logs}/base/console.log', encoding='utf-8', errors='replace') as file:
        console = file.read()
    kernel = re.search(r'Linux version (\S+) \(.*?\) \((.*?),', console)
    if not kernel:
        raise Error(f'{logs}/base/console.log does not say which kernel was measured')
    started = int(os.environ.get('RUN_START', 0))
    result['run'] = {
        'date': time.strftime('%Y-%m-%d'), 'started': started, 'series': series_id(), 'qemu': console.split('\n')[0],
        'kernel': kernel[1], 'compiler': kernel[2],
        'config': config_id(arch), 'seconds': round(time.time() - started)}
    return result


def dump(value):
    """One line for each innermost object."""
    text = json.dumps(value, indent=1)
    return re.sub(r'[\[{][^\[\]{}]*[\]}]',
                  lambda match: re.sub(r'\s*\n\s*', ' ', match[0]), text) + '\n'


# ------------------------------------------------------------------------------------- tables

def table_all(arch, names):
    head = f'{"":34} {"n":>3}' + \
        2 * f'{"min":>10}{"median":>10}{"mean":>10}{"stddev":>8}{"max":>10}  '
    lines = [f'{"":38} {"base":>40} {"series":>49}', head + f'{"ratio":>6}']
    for name in names:
        for axis, points in arch['ops'].get(name, {}).items():
            for x, row in points.items():
                title = f'{name}, {x} {axis}'
                line = f'{title:34} {row["base"]["n"]:3}'
                for variant in VARIANTS:
                    stat = row[variant]
                    line += (f'{stat["min"]:10.0f}{stat["median"]:10.0f}{stat["mean"]:10.0f}'
                             f'{number(stat["stddev"], 8)}{stat["max"]:10.0f}  ')
                lines.append(f'{line}{row["ratio"]:6.3f}')
    return lines


def changes(arch, worse):
    """The operations that cost more (or less), worst first: (ratio, name, axis, x, row)."""
    rows = [(row['ratio'], name, axis, x, row) for name, axes in arch['ops'].items()
            for axis, points in axes.items() for x, row in points.items()
            if (row['ratio'] > 1 + NOISE if worse else row['ratio'] < 1 - NOISE)]
    return sorted(rows, key=lambda row: row[0], reverse=worse)


def table_changes(arch, worse):
    lines = [f'{"":44} {"base":>10} {"series":>10} {"change":>10}']
    for ratio, name, axis, x, row in changes(arch, worse):
        base, series = row['base']['median'], row['series']['median']
        lines.append(f'{f"{name}, {x} {axis}":44} {base:10.0f} {series:10.0f} {series - base:+10.0f}'
                     f' {100 * (ratio - 1):+7.1f}%')
    return lines


# Name, axis, x, what it is called.
HEADLINE = (
    ('first touch', 'VMAs', '100', 'first touch of a mapping of 4 pages'),
    ('second touch', 'VMAs', '100', 'second touch of it'),
    ('munmap', 'VMAs', '100', 'munmap of it, 4 pages touched'),
    ('exit', 'VMAs', '100', 'exit of a process with 100 of them'),
    ('mprotect split, first', 'VMAs', '100', 'mprotect split, first'),
    ('mprotect split, later', 'VMAs', '100', 'mprotect split, later'),
    ('merge back', 'VMAs', '100', 'merge back'),
    ('mremap move, first', 'VMAs', '100', 'mremap move, first'),
    ('mremap move, later', 'VMAs', '100', 'mremap move, later'),
    ('fork, first', 'VMAs', '100', 'fork of 100 of them, first'),
    ('fork, later', 'VMAs', '100', 'fork of 100 of them, later'),
    ('fork+exec+exit, first', 'VMAs', '100', 'fork+exec+exit, first'),
    ('fork+exec+exit, later', 'VMAs', '100', 'fork+exec+exit, later'),
    ('fork+write 10 %+exit, first', 'VMAs', '100', 'fork+write 10 %+exit, first'),
    ('reclaim to swap', 'VMAs', '100', 'reclaim to swap, a page'),
    ('swap in', 'VMAs', '100', 'swap in, a page'),
    ('migration', 'VMAs', '100', 'migration, a page'),
    ('THP fault', 'THPs', '1', 'THP fault'),
    ('THP split', 'THPs', '1', 'THP split'),
    ('fault in a threaded program', 'threads', '16', 'fault, 16 threads'),
    ('mprotect split, first', 'pages', '4096', 'first split of 4096 pages (bound)'),
    ('lock held: split, first', 'pages', '4096', 'mmap_lock held for this'),
    ('lock held: merge of three', 'pages', '4096', 'mmap_lock held: 3 of those merge'),
    ('lock held: fork, first', 'VMAs', '100', 'mmap_lock held: fork of 100, first'),
)


# What the sentences of the texts say of x86_64: a number in instructions, rounded; base, series or
# change, of so many.
FACTS = (
    (r'a page costs ([\d.]+) instructions less to\s+reclaim', 'change', -1,
     ('reclaim to swap', 'VMAs', '100')),
    (r'to\s+reclaim\s+and ([\d.]+) less to migrate', 'change', -1, ('migration', 'VMAs', '100')),
    (r'about ([\d.]+) instructions for each\s+marked VMA of 4 pages', 'change', 100,
     ('fork, first', 'VMAs', '100')),
    (r'against ([\d.]+) saved by its first touch', 'change', -1, ('first touch', 'VMAs', '100')),
    (r'MADV_MERGEABLE, pay about ([\d.]+), a', 'change', 1, ('mprotect split, first', 'VMAs', '100')),
    (r'pay about [\d.]+, a merge of two ([\d.]+)', 'change', 1, ('merge, first', 'VMAs', '100')),
    (r'A later fork of 100 VMAs pays\s+([\d.]+) ', 'change', 100, ('fork, later', 'VMAs', '100')),
    (r'and all about ([\d.]+) instructions for each page', 'change', 4096,
     ('mprotect split, first', 'pages', '4096')),
    (r'([\d.]+) instructions (?:more with the mmap_lock held|to the time)', 'change', 1,
     ('lock held: split, first', 'pages', '4096')),
    (r'(?:split needs|on the\s+base) ([\d.]+)(?: on\s+the\s+base|; an mremap)', 'base', 1,
     ('lock held: split, first', 'pages', '4096')),
    (r'an mremap: ([\d.]+)', 'series', 1, ('lock held: mremap, first', 'pages', '4096')),
    (r'merge of three\s+needs ([\d.]+)', 'series', 1, ('lock held: merge of three', 'pages', '4096')),
    (r'A later split costs about ([\d.]+) instructions more', 'change', 1,
     ('mprotect split, later', 'VMAs', '100')),
    (r'a later merge ([\d.]+)', 'change', 1, ('merge back', 'VMAs', '100')),
    (r'on the base ([\d.]+)\)\. A merge', 'base', 1, ('lock held: mremap, first', 'pages', '4096')),
    (r'it costs ([\d.]+) more, and has', 'change', 1, ('lock held: merge of two', 'pages', '4096')),
    (r'more, and has ([\d.]+) on the base', 'base', 1, ('lock held: merge of two', 'pages', '4096')),
    (r'merge of three\s+needs [\d.]+,\s+on the base (\d+)', 'base', 1,
     ('lock held: merge of three', 'pages', '4096')),
    (r'nobody owns costs ([\d.]+) instructions more', 'change', 1, ('migration', 'pages', '8192')),
    (r'of 10000 VMAs for ([\d.]+) million', 'series', 1e6, ('lock held: fork, first', 'VMAs', '10000')),
    (r'million instead of ([\d.]+), the', 'base', 1e6, ('lock held: fork, first', 'VMAs', '10000')),
)
# A program of Debian, as the cover letter calls it: its anon_vmas without those of the idle system.
PROGRAMS = {'node': 'node', 'Python with 64 threads': 'python', 'redis': 'redis',
            'a shell pipeline': 'pipeline', 'gcc': 'gcc', 'sqlite3': 'sqlite'}


def table_headline(arch):
    lines = [f'{"instructions":36}{"base":>8}{"stddev":>7}{"series":>8}{"stddev":>7}{"change":>9}']
    for name, axis, x, title in HEADLINE:
        row = arch['ops'][name][axis][x]
        line = f'{title:36}'
        for variant in VARIANTS:
            line += f'{row[variant]["median"]:8.0f}{number(row[variant]["stddev"], 7)}'
        lines.append(f'{line}{100 * (row["ratio"] - 1):+8.1f}%')
    return lines


def table_sums(programs):
    lines = [f'{"KiB of the three caches":46}{"base":>5}{"stddev":>7}{"series":>7}{"stddev":>7}{"ratio":>7}']
    for phase in programs[1:]:
        row = phase['caches']['sum']
        line = f'{phase["title"]:46}'
        for variant, width in zip(VARIANTS, (5, 7)):
            line += f'{row[variant]["median"]:{width}.0f}{number(row[variant]["stddev"], 7, 1)}'
        lines.append(f'{line}{row["ratio"]:7.3f}')
    return lines


def tables(data):
    """Return {name: lines} of the tables that a text may have."""
    result = {}
    for name, arch in data.items():
        result[f'memory on {name}'] = memory_table(arch['memory'])
        result[f'decay on {name}'] = memory_table(arch['decay'])
        if 'programs' in arch:
            result[f'programs on {name}'] = memory_table(arch['programs'])
            result[f'sums on {name}'] = table_sums(arch['programs'])
        result[f'operations on {name}'] = table_headline(arch)
        result[f'regressions on {name}'] = table_changes(arch, True)
    return result


def wrong_facts(arch):
    """Return what the texts say and bench.json does not, within five percent."""
    wrong, texts = [], {name: read_text(f'{TOP}/{name}') for name in TEXTS}
    for pattern, kind, parts, (name, axis, x) in FACTS:
        row = arch['ops'][name][axis][x]
        base, series = row['base']['median'], row['series']['median']
        value = {'base': base, 'series': series, 'change': series - base}[kind] / parts
        said = [(path, float(number)) for path, text in texts.items()
                for number in re.findall(pattern, text)]
        if not said:
            wrong.append(f'no text has "{pattern}"')
        wrong += [f'{path} says {number:g} for {name}, {x} {axis}: {value:.4g}'
                  for path, number in said if abs(number - value) > 0.05 * abs(value)]
    phases = {phase['phase']: phase['caches']['anon_vma'] for phase in arch.get('programs', ())}
    for name, phase in PROGRAMS.items():
        value = ' -> '.join(f'{phases[phase][variant]["median"] - phases["before"][variant]["median"]:.0f}'
                            for variant in VARIANTS)
        pattern = re.escape(name).replace(r'\ ', r'\s+') + r'\s+(\d+)(?:\s+anon_vmas)?\s+->\s+(\d+)'
        said = [' -> '.join(row) for row in re.findall(pattern, texts['series/cover-letter'])]
        if said != [value]:
            wrong.append(f'series/cover-letter says {", ".join(said) or "nothing"} for the anon_vmas'
                         f' of {name}: {value}')
    return wrong


def fill(text, known, path):
    """Return the text with its tables as they should be."""
    out, lines, names = [], text.split('\n'), []
    while lines:
        line = lines.pop(0)
        out.append(line)
        if not (title := TITLE.match(line)):
            continue
        if title[1] not in known:
            raise Error(f'{path}: bench.json has no "{title[1]}"; it has ' + ', '.join(known))
        names.append(title[1])
        indent = '    ' if path.endswith('.md') else '  '
        while lines and (not lines[0] or lines[0][0] == ' '):
            lines.pop(0)
        out += ['', *((indent + row).rstrip() for row in known[title[1]]), '']
    return '\n'.join(out), names


# ------------------------------------------------------------------------------------- charts

PANEL_W, PANEL_H, COLUMNS = 250, 170, 3
COLORS = {'base': '#888888', 'series': '#c0392b'}


def text_at(x, y, text, size=10, anchor='start', color='#222222'):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"'
            f' fill="{color}">{html.escape(text)}</text>')


def short(value):
    for limit, unit in ((1e6, 'M'), (1e3, 'k')):
        if value >= limit:
            return f'{value / limit:.3g}{unit}'
    return f'{value:.3g}'


def panel_lines(left, top, title, axis, points):
    """The median of both by size, both scales logarithmic; the mean of base and series differ
    by less than the line is wide in most of them, so the change is written there."""
    xs = [max(1, int(x)) for x in points]
    values = [row[variant]['median'] for row in points.values() for variant in VARIANTS]
    low, high = math.log(min(values) * 0.8), math.log(max(values) * 1.25)
    x0, y0, width, height = left + 44, top + 24, PANEL_W - 64, PANEL_H - 62
    span = math.log(xs[-1] / xs[0]) or 1

    def place(x, value):
        return (x0 + width * (math.log(x / xs[0]) / span if len(xs) > 1 else 0.5),
                y0 + height * (1 - (math.log(value) - low) / (high - low)))
    out = [text_at(left + 6, top + 14, f'{title}, by {axis}', 10.5),
           f'<rect x="{x0}" y="{y0}" width="{width}" height="{height}" fill="none"'
           ' stroke="#cccccc"/>',
           text_at(x0 - 3, y0 + 8, short(max(values)), 9, 'end'),
           text_at(x0 - 3, y0 + height, short(min(values)), 9, 'end')]
    for variant in VARIANTS:
        spots = [place(x, row[variant]['median']) for x, row in zip(xs, points.values())]
        path = ' '.join(f'{x:.1f},{y:.1f}' for x, y in spots)
        out.append(f'<polyline points="{path}" fill="none" stroke="{COLORS[variant]}"'
                   ' stroke-width="1.5"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{COLORS[variant]}"/>'
                for x, y in spots]
    for x, row in zip(xs, points.values()):
        across = place(x, values[0])[0]
        change = 100 * (row['ratio'] - 1)
        out.append(text_at(across, y0 + height + 11, short(x), 8, 'middle'))
        out.append(text_at(across, y0 + height + 22, f'{change:+.0f}%', 8, 'middle',
                           COLORS['series'] if change > 100 * NOISE else '#222222'))
    return out


def panel_bars(left, top, phase):
    """Active objects, base and series."""
    caches = phase['caches']
    most = max(row[variant]['median'] for row in caches.values() for variant in VARIANTS) or 1
    out = [text_at(left + 6, top + 14, phase['title'], 9.5)]
    for i, (cache, row) in enumerate(caches.items()):
        y = top + 28 + 32 * i
        out.append(text_at(left + 84, y + 15, cache, 9, 'end'))
        for j, variant in enumerate(VARIANTS):
            width = 110 * row[variant]['median'] / most
            out.append(f'<rect x="{left + 88}" y="{y + 12 * j}" width="{width:.1f}" height="10"'
                       f' fill="{COLORS[variant]}"/>')
            out.append(text_at(left + 91 + width, y + 12 * j + 9, f'{row[variant]["median"]:.0f}', 9))
    return out


def svg(title, panels):
    """panels: functions of left and top."""
    rows = -(-len(panels) // COLUMNS)
    width, height = COLUMNS * PANEL_W + 20, rows * PANEL_H + 40
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
           f' viewBox="0 0 {width} {height}" font-family="sans-serif">',
           f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
           text_at(10, 20, title, 13)]
    for i, variant in enumerate(VARIANTS):
        out.append(f'<rect x="{width - 150 + 65 * i}" y="10" width="10" height="10"'
                   f' fill="{COLORS[variant]}"/>')
        out.append(text_at(width - 136 + 65 * i, 19, variant, 11))
    for i, panel in enumerate(panels):
        out += panel(10 + i % COLUMNS * PANEL_W, 34 + i // COLUMNS * PANEL_H)
    return '\n'.join(out + ['</svg>', ''])


def charts(data):
    """Return {file name: svg}."""
    result = {}
    for name, arch in data.items():
        memory = [phase for part in ('memory', 'decay', 'programs') for phase in arch.get(part, ())
                  if phase['phase'] != 'before']
        result[f'bench-memory-{name}.svg'] = svg(
            f'Active objects and KiB, {name}',
            [lambda left, top, phase=phase: panel_bars(left, top, phase) for phase in memory])
        for group, (title, names) in GROUPS.items():
            panels = [lambda left, top, row=(op, axis, points): panel_lines(left, top, *row)
                      for op in names for axis, points in arch['ops'].get(op, {}).items()]
            if panels:
                result[f'bench-{group}-{name}.svg'] = svg(f'{title}: instructions, {name}', panels)
    return result


# ------------------------------------------------------------------------------ docs/bench.rst

def page(data):
    """Return docs/bench.rst."""
    out = ['=======', 'Results', '=======', '',
           'Generated by ``make bench`` from docs/bench.json. Not edited by hand.', '',
           'Both kernels have the configuration ``plain``, without any debug option, and run in one',
           'run under QEMU with one CPU and ``-icount shift=0,sleep=off``: the counter of the CPU',
           'goes on by one with each instruction, of user space and kernel together. No figure is a',
           'time on real hardware: caches, memory latency and other CPUs do not exist here.',
           'A page is cleared or copied by 512 of them on x86_64, by far fewer on arm64. Ratios',
           'and changes are those of the medians. ``n`` repetitions follow one that is not counted.',
           'Each operation ran in a process of its own, without address space randomisation, on VMAs',
           'with holes between them; base shares no anon_vma between them, which is the best case of',
           'the series. "by VMAs": so many of 4 pages, all touched; the cost is that of one VMA (fork,',
           'exec and exit: of the process; reclaim, migration and KSM: of a page). "by pages": one VMA',
           'with so many touched pages. 4096 pages are the bound; a VMA of 8192 is never marked',
           '("merge" joins two, each of half the pages, "lock held: merge" two or three, each of so',
           'many). The memory is that of processes of their own, of the program (a) and a zygote (b);',
           'what is left after reclaim, migration, compaction, KSM and forks was looked at for (a)',
           'alone: no other step unmarks a VMA. Tables of memory give medians and standard deviations,',
           'bench.json has min, mean and max too. Forks in a chain have 100 VMAs, threads 50 mappings of',
           '16 pages each. For how long a lock is held is known to the instruction on x86_64, in steps of',
           '1000 on arm64.',
           '', '.. contents::', '   :depth: 2', '']

    def block(lines):
        out.extend(['::', '', *(('  ' + line).rstrip() for line in lines), ''])

    def head(title, line):
        out.extend([title, line * len(title), ''])
    for name, arch in data.items():
        head(name, '=')
        run = arch['run']
        out.extend([f'Linux {run["kernel"]}, {run["compiler"]}, {run["qemu"]}; {run["date"]},',
                    f'{run["seconds"] // 60} minutes with the builds. Core patches'
                    f' {run["series"]}, configuration {run["config"]}.', ''])
        head('Memory', '-')
        out.extend([f'.. image:: bench-memory-{name}.svg', ''])
        for part in ('memory', 'decay', 'programs'):
            if part in arch:
                block(memory_table(arch[part]))
        head('What costs more', '-')
        block(table_changes(arch, True))
        for group, (title, names) in GROUPS.items():
            if not any(op in arch['ops'] for op in names):
                continue
            head(title, '-')
            out.extend([f'.. image:: bench-{group}-{name}.svg', ''])
            block(table_all(arch, names))
    return '\n'.join(out)


def generated(data):
    """Return {path below docs: content} of all that is made of docs/bench.json."""
    return {'bench.rst': page(data)} | charts(data)


def load(docs):
    with open(f'{docs}/bench.json', encoding='utf-8') as file:
        return json.load(file)


def read_text(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def write_text(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def write_generated(docs, data):
    for name, text in generated(data).items():
        write_text(f'{docs}/{name}', text)


def do_collect(args):
    data = {arch: collect(os.path.join(args.logs, arch), arch) for arch in args.arch}
    for path in glob.glob(f'{args.docs}/bench-*.svg'):
        os.unlink(path)
    write_text(f'{args.docs}/bench.json', dump(data))
    write_generated(args.docs, data)
    for arch in data.values():
        print('\n'.join(table_headline(arch)))


def do_apply():
    data = load(f'{TOP}/docs')
    write_generated(f'{TOP}/docs', data)
    known = tables(data)
    for name in TEXTS:
        path = f'{TOP}/{name}'
        write_text(path, fill(read_text(path), known, name)[0])


def do_check(current):
    """Raise an Error that names all that differs; if current, also that the series does."""
    data, bad = load(f'{TOP}/docs'), []
    made = generated(data)
    for name, text in made.items():
        path = f'{TOP}/docs/{name}'
        if not os.path.exists(path) or read_text(path) != text:
            bad.append(f'docs/{name}')
    bad += [f'docs/{os.path.basename(path)} (not generated)'
            for path in glob.glob(f'{TOP}/docs/bench-*.svg') if os.path.basename(path) not in made]
    known, used = tables(data), 0
    for name in TEXTS:
        text = read_text(f'{TOP}/{name}')
        should, names = fill(text, known, name)
        used += len(names)
        if text != should:
            bad.append(name)
    if not used:
        raise Error('no text has a table of docs/bench.json')
    if bad:
        raise Error('these do not agree with docs/bench.json, make bench writes them: ' +
                    ', '.join(bad))
    if 'x86_64' in data and (wrong := wrong_facts(data['x86_64'])):
        raise Error('sentences do not agree with docs/bench.json: ' + '; '.join(wrong))
    print(f'{len(made)} files, {used} tables and {len(FACTS) + len(PROGRAMS)} sentences agree with docs/bench.json')
    if len({arch['run'].get('started') for arch in data.values()}) > 1:
        raise Error(f'{" and ".join(data)} are not of one run: make bench')
    if old := [name for name, arch in data.items() if arch['run']['series'] != series_id()]:
        message = f'the core patches have changed since {" and ".join(old)} was measured: make bench'
        if current:
            raise Error(message)
        print(f'({message})')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    modes = parser.add_subparsers(dest='mode', required=True)
    modes.add_parser('memory').add_argument('logs')
    parsed = modes.add_parser('collect')
    parsed.add_argument('--docs', default=f'{TOP}/docs')
    parsed.add_argument('logs')
    parsed.add_argument('arch', nargs='+')
    modes.add_parser('apply')
    modes.add_parser('check').add_argument('--current', action='store_true')
    args = parser.parse_args()
    if args.mode == 'memory':
        titles, memory, _ = read_both(args.logs, 'memory')
        print('\n'.join(memory_table(memory_of(titles, memory))))
    elif args.mode == 'collect':
        do_collect(args)
    elif args.mode == 'apply':
        do_apply()
    else:
        do_check(args.current)


if __name__ == '__main__':
    try:
        main()
    except (OSError, ValueError, KeyError, Error) as error:
        sys.exit(f'bench.py: {error}')
