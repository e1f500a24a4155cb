#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Measure what VMA_OWNED_MAX_PAGES covers; what it costs is measured by make bench.

Usage: bound.py [PID...] [--run]

How many of the faulted private VMAs of these processes, or of programs that are started for it,
are at most so large.
"""
import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

MIB = 1 << 20
BOUNDS = (2, 4, 8, 16, 32, 64)
SECONDS = 10        # how long each program runs
INTERVAL = 0.2

THREADS = '''
import sys, threading, time
def work(depth=200):
    if depth: return work(depth - 1)
    heap = [bytes([1]) * 1000 for kib in range(int(sys.argv[1]) << 10)]
    time.sleep(600)
for n in range(64): threading.Thread(target=work, daemon=True).start()
time.sleep(600)
'''
NODE = '''
const zlib = require("zlib"), table = new Map();
setInterval(() => {
    for (let i = 0; i < 20000; i++) table.set("k" + Math.random(), {i, text: "x".repeat(i % 100)});
    if (table.size > 400000) table.clear();
    zlib.gzip(JSON.stringify([...table].slice(0, 20000)), () => {});
}, 20);
'''
POSTGRES = '''
PATH=$PATH:$(pg_config --bindir) && initdb -D db >/dev/null && mkdir socket
postgres -D db -k "$PWD/socket" -c listen_addresses= 2>log &
until pg_isready -q -h "$PWD/socket"; do sleep 0.2; done
pgbench -h "$PWD/socket" -i -q -s 5 postgres && exec pgbench -h "$PWD/socket" -c 16 -T 600 postgres
'''
REDIS = '''
redis-server --port 0 --save '' --unixsocket "$PWD/redis" >log &
until redis-cli -s "$PWD/redis" ping 2>&1; do sleep 0.2; done
while :; do
    redis-cli -s "$PWD/redis" eval "for i=1,100000 do redis.call('set', math.random(1e7), i) end" 0
done
'''
SQLITE = '''
CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000000)
INSERT INTO t SELECT i, hex(randomblob(20)) FROM n;
'''
COMPILE = '''
for i in $(seq 8000); do
    echo "int f$i(int *a, int n) { int s = $i; while (n--) s += a[n] * n ^ s >> 3; return s; }"
done >big.c
while :; do $CC -O2 -c big.c; done
'''
PIPELINE = '''
while :; do seq 300000 | sort -R | gzip | gunzip | awk '{s += $1} END {print s}'; done
'''
GIT = '''
git init -q . && for i in $(seq 400); do seq $i $((i * 9)) >f$i; done && git add .
git -c user.name=a -c user.email=a@localhost commit -qm files
while :; do git log -p >/dev/null; git grep -c 11 >/dev/null; git repack -qadf; done
'''

# Title, the command that has to be there, what is run.
PROGRAMS = (
    ('node', 'node', ['node', '-e', NODE]),
    ('64 threads, 2 MiB each', 'python3', ['python3', '-c', THREADS, '2']),
    ('64 threads, 32 MiB each', 'python3', ['python3', '-c', THREADS, '32']),
    ('gcc', 'gcc', 'CC=gcc' + COMPILE),
    ('clang', 'clang-19', 'CC=clang-19' + COMPILE),
    ('git', 'git', GIT),
    ('sqlite3', 'sqlite3', ['sqlite3', ':memory:', SQLITE]),
    ('postgres, 16 clients', 'pg_config', POSTGRES),
    ('redis', 'redis-server', REDIS),
    ('bash pipelines', 'bash', ['bash', '-c', PIPELINE]),
)


def faulted_vmas(pid):
    """Return the sizes of the VMAs of a process that could be marked if they were small."""
    with open(f'/proc/{pid}/smaps', encoding='utf-8', errors='replace') as file:
        text = file.read()
    sizes = []
    for vma in re.split(r'^(?=[0-9a-f]+-[0-9a-f]+ )', text, flags=re.M)[1:]:
        start, end, protection = re.match(r'(\w+)-(\w+) (\S+)', vma).groups()
        flags = re.search(r'^VmFlags:(.*)', vma, re.M)
        # The stack, hugetlb and MADV_MERGEABLE are never marked.
        if protection.endswith('p') and re.search(r'^Anonymous: +[1-9]', vma, re.M) and \
                not {'gd', 'ht', 'mg'} & set(flags[1].split()):
            sizes.append(int(end, 16) - int(start, 16))
    return sizes


def descendants(root):
    """Return {pid: start time} of a process and everything below it."""
    parents, started = {}, {}
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as file:
                fields = file.read().rpartition(')')[2].split()
        except OSError:
            continue
        parents[int(pid)], started[int(pid)] = int(fields[1]), fields[19]
    tree = {root}
    while more := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return {pid: started[pid] for pid in tree if pid in started}


def run(command):
    """Run a program and return [sizes], of each of its processes when it had the most VMAs."""
    best = {}
    with tempfile.TemporaryDirectory(prefix='bound-') as folder:
        user = 'postgres' if command is POSTGRES and os.getuid() == 0 else None
        if user:
            shutil.chown(folder, user)
        root = subprocess.Popen(['sh', '-c', command] if isinstance(command, str) else command,
                                cwd=folder, user=user, start_new_session=True,
                                env=os.environ | {'TMPDIR': folder}, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for process in descendants(root.pid).items():
                try:
                    sizes = faulted_vmas(process[0])
                except OSError:     # it has ended
                    continue
                if sizes and len(sizes) >= len(best.get(process, ())):
                    best[process] = sizes
            time.sleep(INTERVAL)
        if root.poll() is not None:
            raise ValueError(f'{command!r} ended with {root.returncode}')
        # Stop them before they can start others, then end them.
        stopped = {}
        while more := descendants(root.pid).keys() - stopped.keys():
            for pid in more:
                stopped[pid] = kill(pid, signal.SIGSTOP)
        for pid in stopped:
            kill(pid, signal.SIGKILL)
        root.wait()
        while any(os.path.exists(f'/proc/{pid}') for pid in stopped):
            time.sleep(INTERVAL)
    return list(best.values())


def kill(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def coverage(programs):
    """Print the share of VMAs within each bound, for {title: [sizes of a process]}."""
    print('Share of the faulted private VMAs, by count, that are at most so many MiB large\n'
          '(without the stacks of main threads; each process when it had the most; forked ones too)\n')
    print(f'{"":24} {"processes":>9} {"VMAs":>6}' + ''.join(f'{f"<= {n}":>8}' for n in BOUNDS) +
          f'{"largest":>10}')
    programs = programs | {'all': [sizes for rows in programs.values() for sizes in rows]}
    for title, processes in programs.items():
        sizes = [size for process in processes for size in process]
        if not sizes:
            raise ValueError(f'{title}: no VMA was seen')
        print(f'{title:24} {len(processes):9} {len(sizes):6}' + ''.join(
            f'{100 * sum(size <= n * MIB for size in sizes) / len(sizes):7.1f}%'
            for n in BOUNDS) + f'{max(sizes) / MIB:10.1f}')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('pid', nargs='*', type=int)
    parser.add_argument('--run', action='store_true', help='start programs and sample them')
    args = parser.parse_args()
    if not (args.pid or args.run):
        parser.error('give process ids or --run')
    programs = {}
    for pid in args.pid:
        title = os.path.basename(os.readlink(f'/proc/{pid}/exe'))
        programs.setdefault(title, []).append(faulted_vmas(pid))
    for title, needs, command in PROGRAMS if args.run else ():
        if shutil.which(needs):
            print(f'run {title}', file=sys.stderr)
            programs[title] = run(command)
        else:
            print(f'{needs} is not installed: not measured', file=sys.stderr)
    if programs:
        coverage(programs)


if __name__ == '__main__':
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f'bound.py: {error}')
