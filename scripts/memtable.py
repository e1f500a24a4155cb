#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compare what guest/workload.c measured on the base kernel and on the series.

Usage: memtable.py BASE.txt SERIES.txt [--json OUT]
"""
import argparse
import json
import re
import sys


def read(path):
    """Return {phase: description} and {phase: {cache: (objects, size in bytes)}}."""
    titles, phases, done = {}, {}, False
    with open(path, encoding='utf-8', errors='replace') as file:
        for line in file:
            if title := re.match(r'phase (\S+) (.*)', line):
                titles[title[1]] = title[2].strip()
            elif row := re.match(r'mem (\S+) (\S+) (\d+) (\d+)\s*$', line):
                caches = phases.setdefault(row[1], {})
                if row[2] in caches:
                    raise ValueError(f'{path}: {row[1]} {row[2]} is there twice')
                caches[row[2]] = (int(row[3]), int(row[4]))
            done = done or line.strip() == 'done'
    if not phases or not done:
        raise ValueError(f'{path}: {"cut short" if phases else "no measurement"}')
    return titles, phases


def compare(base, series, paths):
    """Return {phase: {cache: {...}}} with the sum of the caches as the last one."""
    def rows(phases):
        return {(phase, cache) for phase, caches in phases.items() for cache in caches}
    for path, missing in zip(paths, (rows(series) - rows(base), rows(base) - rows(series))):
        if missing:
            raise ValueError(f'{path}: lacks ' + ', '.join(sorted(map(' '.join, missing))))
    table = {}
    for phase, caches in base.items():
        table[phase] = {cache: {'base_objects': count, 'base_bytes': count * size,
                                'series_objects': series[phase][cache][0],
                                'series_bytes': series[phase][cache][0] * series[phase][cache][1]}
                        for cache, (count, size) in caches.items()}
        table[phase]['sum'] = {column: sum(row[column] for row in table[phase].values())
                               for column in next(iter(table[phase].values()))}
        for row in table[phase].values():
            row['ratio'] = row['series_bytes'] / row['base_bytes'] if row['base_bytes'] else None
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('base')
    parser.add_argument('series')
    parser.add_argument('--json', metavar='OUT', help='write the table there as well')
    args = parser.parse_args()
    titles, base = read(args.base)
    table = compare(base, read(args.series)[1], (args.base, args.series))
    if args.json:
        with open(args.json, 'w', encoding='utf-8') as file:
            json.dump(table, file, indent=2)
            file.write('\n')
    print(f'{"":16} {"base":>18} {"series":>19} {"series/":>9}')
    print(f'{"active":16} {"objects":>9}{"KiB":>9} {"objects":>10}{"KiB":>9} {"base":>9}')
    for phase, caches in table.items():
        print(f'\n{phase}: {titles.get(phase, "")}')
        for cache, row in caches.items():
            ratio = '-' if row['ratio'] is None else f'{row["ratio"]:.3f}'
            print(f'  {cache:14} {row["base_objects"]:9}{row["base_bytes"] / 1024:9.1f}'
                  f' {row["series_objects"]:10}{row["series_bytes"] / 1024:9.1f} {ratio:>9}')


if __name__ == '__main__':
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f'memtable.py: {error}')
