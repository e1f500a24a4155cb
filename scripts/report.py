#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Judge a test run by its kernel consoles and the output of its test programs.

Prints one merged KTAP summary; the last line is 'N passed, N failed, N skipped'.
Exits 0 only if nothing failed and at least one test passed, 2 on a usage error.

Each program's output ends with the line '# anon-exit: CODE'. The baseline says,
tab-separated, what the base kernel does: NAME CASE fail|skip|flaky REASON, and
NAME * count=N (count>=N where the number varies). Cases in parentheses, such as
(exit) or (plan), are what was wrong with a program as a whole.
"""
# kunit_parser.py accepts a missing plan, results beyond the plan and all skipped.
import argparse
import os
import re
import sys
from dataclasses import dataclass, field

SPLATS = (
    r'\bBUG:', r'kernel BUG at', r'\bWARNING:', r'\bOops\b', r'Kernel panic',
    r'general protection fault(?! ip:)',    # 'ip:' = a user-space program's
    r'Unable to handle kernel', r'Internal error:',
    r'possible circular locking dependency', r'possible recursive locking',
    r'inconsistent lock state', r'lock order detected', r'held lock freed',
    r'\bDEADLOCK\b', r'suspicious RCU usage', r'trying to register non-static key',
    r'turning off the locking correctness validator',
    r'\bKASAN:', r'\bKCSAN:', r'\bKMSAN:', r'\bKFENCE:', r'\bUBSAN:',
    r'new suspected memory leaks', r'unreferenced object',
    r'rcu: INFO: ', r'self-detected stall', r'detected stalls on CPUs',
    r'INFO: task .* blocked', r'soft lockup', r'hard LOCKUP',
    r'Bad page (?:state|map)', r'Bad rss-counter', r'page dumped because',
    r'\bbad (?:pgd|p4d|pud|pmd|pte)\b', r'VM_(?:BUG|WARN)', r'refcount_t:',
    r'list_(?:add|del) corruption', r'sleeping function called from invalid context',
    r'scheduling while atomic', r'Call [Tt]race:',
)
TRACE = re.compile(r'Call [Tt]race:')
TRACE_MAY_FOLLOW = r'invoked oom-killer:'   # an OOM kill is what a test may want
CLEAN_END = r'reboot: (?:Power down|Restarting system|System halted)'
CONTEXT = (5, 35)                           # lines before and after a splat
LOG_TAIL = 30                               # lines of diagnostics per failure
TIMED_OUT = (124, 137, 143)                 # timeout(1), or its SIGKILL or SIGTERM


class Error(Exception):
    """The report cannot be made."""


@dataclass
class Case:
    name: str
    result: str                             # pass, fail or skip
    why: str = ''
    log: list = field(default_factory=list)


@dataclass
class Program:
    name: str
    path: str = ''
    tests: list = field(default_factory=list)
    problems: list = field(default_factory=list)
    notes: list = field(default_factory=list)

    def problem(self, name, why):
        """Add a failure of the program as a whole, one per kind of problem."""
        for case in self.problems:
            if case.name == name:
                case.why += '; ' + why
                return
        self.problems.append(Case(name, 'fail', why))

    def cases(self):
        return self.tests + self.problems

    def count(self, result):
        return sum(case.result == result for case in self.cases())


def read_lines(path):
    with open(path, encoding='utf-8', errors='replace') as file:
        text = file.read()
    return re.sub(r'\x1b\[[0-9;?]*[A-Za-z]|\r', '', text).split('\n')


# ---- KTAP

KTAP = re.compile(r'''(?P<indent>\ *)(?:
    (?P<version>K?TAP\ version\ \d+)\s* |
    1\.\.(?P<plan>\d+)\s*(?:\#\s*SKIP\s*(?P<reason>.*))? |
    (?P<result>ok|not\ ok)\ (?P<number>\d+)(?:\s+(?P<text>.*))? |
    Bail\ out!\s*(?P<bail>.*))$''', re.X)
TIMESTAMP = re.compile(r'^\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ')


@dataclass
class Level:
    """One nesting level of KTAP, told by its indentation."""
    indent: int
    plan: int = None
    results: int = 0
    cases: list = field(default_factory=list)


def parse_result(match):
    """Return name, result and diagnostic of a result line."""
    text = ' ' + re.sub(r'^- ?', '', match['text'] or '')
    name, _, note = text.partition(' # ')
    directive = re.match(r'\s*(SKIP|XFAIL|XPASS|TODO|TIMEOUT|ERROR)\b:?\s*(.*)', note, re.I)
    # kselftest.h writes the name behind the directive: 'ok 1 # SKIP name'
    if not name.strip():
        name, note = directive[2] if directive else note, ''
    name = ' '.join(name.split()) or 'test ' + match['number']
    if directive and directive[1].upper() == 'SKIP':
        return name, 'skip', directive[2] if note else ''
    # No other directive turns 'not ok' into something else, as in KTAP version 1.
    return name, 'pass' if match['result'] == 'ok' else 'fail', note.strip()


def parse_ktap(program, lines):
    """Add the innermost tests in lines to program and what is wrong; return why it gave up."""
    levels, log, skip_all, bail = [], [], None, None
    names = {}

    def plan_error(why):
        program.problem('(plan)', why)

    def close():
        level = levels.pop()
        if level.plan is None:
            # KUnit prints no plan for parameters; their parent's line ends them.
            if not levels:
                plan_error('missing plan')
        elif level.plan != level.results:
            plan_error(f'planned {level.plan} tests, got {level.results} results')
        return level.cases

    for line in lines:
        match = KTAP.match(TIMESTAMP.sub('', line))
        if not match:
            log.append(line)
            continue
        if match['bail'] is not None:
            bail = match['bail'] or 'without a reason'
            continue
        indent, children = len(match['indent']), []
        while levels and levels[-1].indent > indent:
            if children:
                plan_error('subtests without a result line of their own')
            children = close() + children
        if not levels or levels[-1].indent < indent:
            levels.append(Level(indent))
        elif match['version']:
            plan_error('a second version line')
        level = levels[-1]
        if match['plan']:
            if level.plan is not None:
                plan_error('a second plan')
            level.plan, skip_all = int(match['plan']), match['reason']
        if not match['result']:
            if children:
                plan_error('subtests without a result line of their own')
            level.cases += children
            continue
        level.results += 1
        if int(match['number']) != level.results:
            plan_error(f'result {match["number"]} where {level.results} was due')
        name, result, why = parse_result(match)
        for case in children:
            case.name = f'{name}/{case.name}'
        if not children or (result == 'fail' and all(c.result != 'fail' for c in children)):
            children.append(Case(name, result, why, log[-LOG_TAIL:]))
        level.cases += children
        log = []

    while levels:
        if len(levels) > 1:
            plan_error('subtests without a result line of their own')
        program.tests = close() + program.tests
    if not program.tests and skip_all is not None:
        program.tests = [Case(program.name, 'skip', skip_all)]
    for case in program.tests:
        names[case.name] = names.get(case.name, 0) + 1
        if names[case.name] > 1:
            case.name += f' ({names[case.name]})'
    return bail


def read_program(name, path, plain=False):
    """Read one program's output; a plain program is one case, its exit code."""
    program = Program(name, path)
    try:
        lines = read_lines(path)
    except OSError as error:
        program.problem('(truncated)', f'no output: {error.strerror}')
        return program
    while lines and not lines[-1].strip():
        lines.pop()
    end = re.search(r'# anon-exit: (\d+)\s*$', lines[-1]) if lines else None
    if end:
        code = int(end[1])
        lines[-1] = lines[-1][:end.start()]
    bail = None
    if plain:
        if end:
            result = {0: 'pass', 4: 'skip'}.get(code, 'fail')
            program.tests.append(Case(name, result, '' if code == 0 else f'exit {code}',
                                      lines[-LOG_TAIL:]))
    else:
        bail = parse_ktap(program, lines)
    failed = any(case.result == 'fail' for case in program.tests)
    skipped = [case for case in program.tests if case.result == 'skip']
    if bail and not failed:                 # kselftests also end so after failures, their plan fulfilled
        program.problem('(bail out)', bail)
    if not end:
        program.problem('(truncated)', 'the output does not end with the exit code')
    elif code in TIMED_OUT:
        program.problem('(timeout)', f'exit {code}: timed out or killed')
    elif code == 0 and failed:
        program.problem('(exit)', 'exit 0 although tests failed')
    elif 128 < code < 193:
        program.problem('(exit)', f'exit {code}: killed by signal {code - 128}')
    elif code and not failed and not (code == 4 and skipped):
        program.problem('(exit)', f'exit {code} although no test failed')
    if not program.tests:
        program.problem('(empty)', 'no test ran')
    elif len(skipped) == len(program.tests):
        program.problem('(all skipped)', 'every test was skipped')
    return program


# ---- Console

def read_allow(path):
    """Read REGEX<TAB>REASON rows: console lines that are no splat."""
    allow = []
    for row in read_lines(path):
        if not row.strip() or row.startswith('#'):
            continue
        pattern, _, reason = row.partition('\t')
        if not reason.strip():
            raise Error(f'{path}: no reason for {pattern!r}')
        try:
            if any(re.search(pattern, s) for s in ('', 'BUG: ', 'WARNING: CPU: 0', 'Call Trace:')):
                raise Error(f'{path}: {pattern!r} allows too much')
        except re.error as error:
            raise Error(f'{path}: {pattern!r}: {error}') from error
        allow.append(pattern)
    return allow


def read_console(path, allow=(), end_markers=()):
    """Return a program of one case that fails if the console has a splat or is no whole log."""
    program = Program('console ' + '/'.join(os.path.abspath(path).split('/')[-2:]), path)
    try:
        lines = read_lines(path)
    except OSError as error:
        program.tests.append(Case('console', 'fail', f'no console log: {error.strerror}'))
        return program
    splat = re.compile('|'.join(SPLATS))
    allowed = re.compile('|'.join((TRACE_MAY_FOLLOW, *allow)))
    end = re.compile('|'.join(map(re.escape, end_markers)) or CLEAN_END)
    booted = ended = False
    trace_until, splats = -1, []
    for number, line in enumerate(lines):
        booted = booted or re.search(r'Linux version \d', line)
        ended = ended or (booted and end.search(line))
        if allowed.search(line):
            trace_until = number + CONTEXT[1]
        elif TRACE.search(line) and number <= trace_until:
            trace_until = -1                # the one trace of what was allowed
        elif splat.search(line):
            splats.append(number)
    why, log = [], lines[-LOG_TAIL:]
    if splats:
        first = splats[0]
        why.append(f'{path}:{first + 1}: {lines[first].strip()} ({len(splats)} suspicious lines)')
        log = lines[max(0, first - CONTEXT[0]):first + CONTEXT[1]]
    if not booted:
        why.append('not a kernel log: no "Linux version" line')
    elif not ended:
        why.append('truncated: no end marker')
    program.tests.append(Case('console', 'fail' if why else 'pass', '; '.join(why), log))
    return program


# ---- Baseline

BASELINE_HEADER = ['# What the unpatched base kernel does; written by report.py --write-baseline.',
                   '# NAME\tCASE\tfail|skip|flaky\tREASON (by hand), or NAME\t*\tcount=N or count>=N']


def read_baseline(path):
    """Return the comment lines and {name: {case: (result, reason)}}."""
    comments, rows = [], {}
    for number, row in enumerate(read_lines(path), 1):
        if row.startswith('#'):
            comments.append(row)
        elif row.strip():
            cells = [cell.strip() for cell in row.split('\t')] + ['']
            good = r'count>?=\d+' if cells[1:2] == ['*'] else 'fail|skip|flaky'
            if not 4 <= len(cells) <= 5 or not re.fullmatch(good, cells[2]):
                raise Error(f'{path}:{number}: not a baseline row: {row!r}')
            name, case, result, reason = cells[:4]
            if case in rows.setdefault(name, {}):
                raise Error(f'{path}:{number}: listed twice: {name} {case}')
            rows[name][case] = (result, reason)
    return comments, rows


def apply_baseline(program, rows, skips=False):
    """Turn what the base does as well into skips, with the reason; find what went missing."""
    tests = len(program.tests)
    relation, _, number = rows.pop('*', ('count=0', ''))[0].partition('=')
    if tests < int(number):
        program.problem('(count)', f'{tests} tests, the base has {number}')
    elif relation == 'count' and tests > int(number) > 0:
        program.notes.append(f'{tests} tests, the base has {number}')
    for case in program.cases():
        listed, reason = rows.pop(case.name, ('', ''))
        if listed and not reason:
            case.result, case.why = 'fail', 'listed in the baseline without a reason: ' + case.why
        elif case.name == '(all skipped)' and skips:     # each test has to say why
            case.result = 'skip'
        elif case.result == 'fail' and listed in ('fail', 'flaky'):
            case.result, case.why = 'skip', f'known on the base ({listed}): {reason}'
        elif case.result == 'skip' and listed == 'skip':
            case.why = reason
        elif case.result == 'skip' and not (skips and case.why):
            case.result, case.why = 'fail', 'skipped without a reason listed: ' + case.why
        elif case.result == 'pass' and listed in ('fail', 'skip'):
            program.notes.append(f'{case.name}: passes now, listed as {listed}: {reason}')
    for name, (listed, reason) in rows.items():
        if not reason:
            program.problems.append(Case(name, 'fail', 'listed in the baseline without a reason'))
        elif name.startswith('('):
            program.notes.append(f'{name}: happens no more, listed as {listed}: {reason}')
        elif listed != 'flaky':             # the name of a flaky failure may be in no good run
            program.problems.append(
                Case(name, 'fail', f'listed in the baseline as {listed}, did not run'))


def write_baseline(path, programs):
    """Write what the programs did; keep reasons, flaky rows, count>= and programs not run."""
    comments, rows = read_baseline(path) if os.path.exists(path) else (BASELINE_HEADER, {})
    for program in programs:
        old, new = rows.get(program.name, {}), {}
        relation, _, number = old.get('*', ('count=0', ''))[0].partition('=')
        tests = len(program.tests)
        new['*'] = (f'{relation}={min(tests, int(number)) if relation == "count>" else tests}', '')
        for case in program.cases():
            listed, reason = old.get(case.name, (case.result, ''))
            if case.result != 'pass':
                same = listed == case.result or (listed == 'flaky' and case.result == 'fail')
                new[case.name] = (listed, reason) if same else (case.result, '')
        new.update((case, row) for case, row in old.items() if row[0] == 'flaky')
        rows[program.name] = new
    with open(path + '.new', 'w', encoding='utf-8') as file:
        for line in comments:
            print(line, file=file)
        for name in sorted(rows):
            for case, row in rows[name].items():
                print('\t'.join((name, case, *row)).rstrip('\t') if case == '*'
                      else '\t'.join((name, case, *row)), file=file)
    os.replace(path + '.new', path)
    return [(program.name, case.name, case.why) for program in programs for case in program.cases()
            if case.result != 'pass' and not rows[program.name][case.name][1]]


# ---- Report

def diagnostics(case):
    return ['# ' + line.removeprefix('# ') for line in case.log if line.strip('# ')]


def result_line(number, name, result, why):
    name, why = name.replace('#', ''), ' '.join(why.split())
    directive = {'skip': ' # SKIP ', 'fail': ' # ', 'pass': ' # '}[result] if why or result == 'skip' else ''
    return f'{"not ok" if result == "fail" else "ok"} {number} {name}{directive}{why}'.rstrip()


def summarize(programs, every_case):
    """Return the KTAP lines: every case, or the programs and a comment per failure."""
    lines = ['KTAP version 1', f'1..{len(programs)}']
    for number, program in enumerate(programs, 1):
        counts = {result: program.count(result) for result in ('pass', 'fail', 'skip')}
        if every_case:
            lines += ['  KTAP version 1', f'  1..{len(program.cases())}']
        for index, case in enumerate(program.cases(), 1):
            if every_case or case.result == 'fail':
                lines += diagnostics(case) if case.result == 'fail' else []
                lines.append(('  ' if every_case else '# ')
                             + result_line(index, case.name, case.result, case.why))
        lines += [f'# note: {program.name}: {note}' for note in program.notes]
        if counts['fail']:
            lines.append(f'# log: {program.path}')
        result = 'fail' if counts['fail'] else 'pass' if counts['pass'] else 'skip'
        lines.append(result_line(number, program.name, result,
                                 '{pass} passed, {fail} failed, {skip} skipped'.format(**counts)))
    return lines


def named_file(plain):
    def parse(text):
        name, separator, path = text.partition('=')
        if not name or not separator or not path:
            raise argparse.ArgumentTypeError(f'{text!r} is not NAME=FILE')
        return name, path, plain
    return parse


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--console', metavar='LOG', action='append', default=[],
                        help='a kernel console that must be whole and free of splats')
    parser.add_argument('--ktap', metavar='NAME=FILE', dest='programs', action='append', default=[],
                        type=named_file(False), help="a test program's KTAP or TAP output")
    parser.add_argument('--plain', metavar='NAME=FILE', dest='programs', action='append',
                        type=named_file(True), help='a program judged by its exit code alone')
    parser.add_argument('--baseline', metavar='[PREFIX=]FILE', action='append', default=[],
                        help='what the base kernel fails and skips; of programs named PREFIX/NAME')
    parser.add_argument('--skips', action='store_true',
                        help="believe a test's own reason to skip: the configuration lacks something")
    parser.add_argument('--write-baseline', metavar='FILE', help='make the baseline from this run')
    parser.add_argument('--end-marker', metavar='STRING', action='append', default=[],
                        help="ends a whole console; default: the kernel's power-off message")
    parser.add_argument('--allow', metavar='FILE', help='console lines that are no splat: REGEX<TAB>REASON')
    parser.add_argument('--summary', metavar='OUT', help='write the summary with every case there')
    args = parser.parse_args(argv)
    names = [name for name, _, _ in args.programs]
    if len(set(names)) != len(names):
        parser.error('a NAME was given twice')

    allow = read_allow(args.allow) if args.allow else []
    baseline = {}
    for text in args.baseline:
        prefix, separator, path = text.rpartition('=')
        for name, rows in read_baseline(path)[1].items():
            baseline[prefix + '/' * bool(separator) + name] = rows
    consoles = [read_console(path, allow, args.end_marker) for path in args.console]
    programs = [read_program(*program) for program in args.programs]

    if args.write_baseline:
        broken = [p.path for p in consoles if p.count('fail')]
        broken += [p.path for p in programs if any(c.name == '(truncated)' for c in p.problems)]
        if broken or not programs:
            raise Error('no baseline written, the run is not whole: ' + (' '.join(broken) or 'no programs'))
        unexplained = write_baseline(args.write_baseline, programs)
        for row in unexplained:
            print('needs a reason: {}: {}: {}'.format(*row))
        print(f'{args.write_baseline}: written, {len(unexplained)} rows need a reason')
        return 0

    for program in programs:
        apply_baseline(program, baseline.get(program.name, {}), args.skips)
    if not any(program.count('pass') for program in programs):
        consoles.append(Program('run', tests=[Case('run', 'fail', 'no test passed')]))
    programs += consoles
    total = '{} passed, {} failed, {} skipped'.format(
        *(sum(p.count(result) for p in programs) for result in ('pass', 'fail', 'skip')))
    if args.summary:
        with open(args.summary, 'w', encoding='utf-8') as file:
            file.write('\n'.join(summarize(programs, True) + [total, '']))
    print('\n'.join(summarize(programs, False)))
    for program in programs:
        failures = [f'{case.name}: {case.why}'.rstrip(': ')
                    for case in program.cases() if case.result == 'fail']
        if failures:
            more = f' (and {len(failures) - 1} more)' if len(failures) > 1 else ''
            print(f'# FAILED {program.name}: {failures[0]}{more}')
    print(total)
    return 1 if any(program.count('fail') for program in programs) else 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except (Error, OSError) as error:
        print(f'report.py: {error}', file=sys.stderr)
        sys.exit(2)
