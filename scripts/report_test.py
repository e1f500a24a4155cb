#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of report.py: every way a run can be bad must be seen, and a good one must pass."""
import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import report  # noqa: E402

GOOD = 'TAP version 13\n1..2\nok 1 first\nok 2 second\n# Totals: pass:2\n# anon-exit: 0\n'
CONSOLE = ('[    0.000000] Linux version 7.3.4 (builder@host) (clang 19) #1 SMP\n'
           '[    0.000000] Command line: console=ttyS0 oops=panic panic=-1 slab_nomerge\n'
           '[    0.100000] rcu: Preemptible hierarchical RCU implementation.\n'
           '[    3.000000] Memory failure: 0x1234: recovery action for dirty LRU page: Recovered\n'
           '[    3.100000] mce: [Hardware Error]: Machine check events logged\n'
           '[    3.200000] traps: a.out[77] general protection fault ip:401136 sp:7ffd error:0\n'
           '{}'
           '[    9.000000] reboot: Power down\n')
OOM = ('[    4.0] hog invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE), order=0\n'
       '[    4.0] CPU: 1 UID: 0 PID: 99 Comm: hog Not tainted 7.3.4 #1\n'
       '[    4.0] Call Trace:\n[    4.0]  dump_stack_lvl+0x50/0x70\n'
       '[    4.0] Out of memory: Killed process 99 (hog) total-vm:1kB\n')

# One line per pattern of report.SPLATS, in the same order, that no other pattern matches.
SPLATS = (
    'BUG: kernel NULL pointer dereference, address: 0000000000000008',
    'kernel BUG at mm/rmap.c:100!',
    'WARNING: CPU: 0 PID: 1 at mm/rmap.c:1 folio_add_anon_rmap+0x1/0x2',
    'Oops: 0000 [#1] SMP',
    'Kernel panic - not syncing: Attempted to kill init!',
    'general protection fault, probably for non-canonical address 0xdead000000000100',
    'Unable to handle kernel paging request at virtual address ffff0000',
    'Internal error: synchronous external abort: 96000410 [#1]',
    ' possible circular locking dependency detected',
    ' possible recursive locking detected',
    ' inconsistent lock state',
    ' possible irq lock inversion or SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected',
    ' held lock freed!',
    ' *** DEADLOCK ***',
    ' suspicious RCU usage',
    'INFO: trying to register non-static key.',
    'turning off the locking correctness validator.',
    'KASAN: null-ptr-deref in range [0x0-0x7]',
    'KCSAN: data-race in a / b',
    'KMSAN: uninit-value in a',
    'KFENCE: use-after-free read in a',
    'UBSAN: shift-out-of-bounds in mm/rmap.c:1:2',
    'kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)',
    'unreferenced object 0xffff888003a0b000 (size 64):',
    'rcu: INFO: rcu_preempt detected expedited stalls',
    'INFO: rcu_sched self-detected stall on CPU',
    'INFO: rcu_tasks detected stalls on CPUs/tasks:',
    'INFO: task kworker/0:1:9 blocked for more than 120 seconds.',
    'watchdog: soft lockup - CPU#0 stuck for 22s!',
    'NMI watchdog: Watchdog detected hard LOCKUP on cpu 0',
    'Bad page state in process cow  pfn:01234',
    'Bad rss-counter state mm:(____ptrval____) type:MM_ANONPAGES val:1',
    'page dumped because: nonzero mapcount',
    'mm/pgtable-generic.c:54: bad pmd 00000000deadbeef(00000001)',
    'VM_WARN_ON_FOLIO(!folio_test_locked(folio))',
    'refcount_t: underflow; use-after-free.',
    'list_del corruption. prev->next should be ffff8880, but was dead0000',
    'sleeping function called from invalid context at mm/rmap.c:1',
    'scheduling while atomic: cow/77/0x00000002',
    'Call Trace:',
)


class ReportTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def file(self, name, text):
        path = os.path.join(self.dir.name, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return path

    def report(self, *args):
        """Return exit status and output, and hold both to the closing line."""
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            status = report.main(list(args))
        output = output.getvalue()
        closing = re.fullmatch(r'(\d+) passed, (\d+) failed, (\d+) skipped', output.splitlines()[-1])
        if closing:
            self.assertEqual(status == 0, closing[1] != '0' and closing[2] == '0', output)
        return status, output

    def run_ktap(self, text, *args, kind='--ktap', name='prog'):
        return self.report(kind, f'{name}={self.file(name, text)}', *args)

    def assert_fails(self, text, *whys, **kwargs):
        status, output = self.run_ktap(text, **kwargs)
        self.assertEqual(status, 1, output)
        for why in whys:
            self.assertIn(why, output)
        return output


class Ktap(ReportTest):
    def test_good(self):
        status, output = self.run_ktap(GOOD)
        self.assertEqual(status, 0, output)
        self.assertTrue(output.endswith('\nok 1 prog # 2 passed, 0 failed, 0 skipped\n'
                                        '2 passed, 0 failed, 0 skipped\n'), output)

    def test_good_with_plan_last_noise_and_directives(self):
        status, output = self.run_ktap(
            'KTAP version 1\nnoise\nok 1 - first # rcode=0\nok 2 # XFAIL broken since ever\n'
            '\x1b[32mok 3\x1b[0m\r\n1..3\n# Totals\nlast words# anon-exit: 0\n\n')
        self.assertEqual(status, 0, output)
        self.assertIn('3 passed', output)

    def test_not_ok(self):
        output = self.assert_fails('1..2\n# shown\nnot ok 1 bad # rc=7\nok 2 b\n# anon-exit: 1\n',
                                   'FAILED prog: bad: rc=7', '# shown', '1 passed, 1 failed')
        self.assertNotIn('(exit)', output)
        self.assertIn('# log: ' + self.dir.name, output)
        self.assertNotIn('2 b', output)     # the short form lists failures only

    def test_diagnostics_belong_to_one_case(self):
        output = self.assert_fails('1..2\n# of a\nok 1 a\n# of b\nnot ok 2 b\tc #3\n# anon-exit: 1\n',
                                   '\n# of b\n# not ok 2 b c 3\n', 'FAILED prog: b c #3\n')
        self.assertNotIn('# of a', output)

    def test_not_ok_is_not_excused_by_a_directive(self):
        for directive in 'TODO', 'XFAIL', 'TIMEOUT', 'ERROR':
            self.assert_fails(f'1..2\nok 1 a\nnot ok 2 b # {directive} x\n# anon-exit: 1\n', 'prog: b: ')

    def test_missing_plan(self):
        self.assert_fails(GOOD.replace('1..2\n', ''), '(plan): missing plan')

    def test_fewer_results(self):
        self.assert_fails(GOOD.replace('ok 2 second\n', ''), 'planned 2 tests, got 1 results')

    def test_more_results(self):
        self.assert_fails(GOOD.replace('1..2', '1..1'), 'planned 1 tests, got 2 results')

    def test_out_of_order_and_duplicate_numbers(self):
        self.assert_fails(GOOD.replace('ok 2', 'ok 1'), 'result 1 where 2 was due')
        self.assert_fails(GOOD.replace('ok 1', 'ok 3'), 'result 3 where 1 was due')

    def test_second_plan_and_version(self):
        self.assert_fails(GOOD.replace('1..2\n', '1..2\n1..2\n'), 'a second plan')
        self.assert_fails(GOOD.replace('1..2\n', '1..2\nTAP version 13\n'), 'a second version line')

    def test_truncated(self):
        self.assert_fails(GOOD.replace('# anon-exit: 0\n', ''), '(truncated)')
        self.assert_fails(GOOD + 'and more\n', '(truncated)')
        self.assert_fails('', '(truncated)', '(empty)')
        status, output = self.report('--ktap', 'prog=' + os.path.join(self.dir.name, 'none'))
        self.assertEqual(status, 1)
        self.assertIn('no output: No such file', output)

    def test_zero_tests(self):
        self.assert_fails('TAP version 13\n1..0\n# anon-exit: 0\n', '(empty): no test ran')
        self.assert_fails('# anon-exit: 0\n', '(empty): no test ran')

    def test_all_skipped(self):
        skips = '1..2\nok 1 a # SKIP no swap\nok 2 # SKIP b\n# anon-exit: 0\n'
        baseline = self.file('baseline', 'prog\ta\tskip\tno swap\nprog\tb\tskip\tno swap\n')
        for args in (), ('--baseline', baseline):
            status, output = self.run_ktap(skips, *args)
            self.assertEqual(status, 1)
            self.assertIn('(all skipped)', output)
        self.assert_fails('1..0 # SKIP no userfaultfd\n# anon-exit: 4\n', '(all skipped)',
                          'prog: skipped without a reason listed: no userfaultfd')

    def test_exit_code_contradicts_results(self):
        self.assert_fails(GOOD.replace('exit: 0', 'exit: 1'), 'exit 1 although no test failed')
        self.assert_fails(GOOD.replace('exit: 0', 'exit: 4'), 'exit 4 although no test failed')
        self.assert_fails(GOOD.replace('ok 2', 'not ok 2'), 'exit 0 although tests failed')
        rows = self.file('baseline', 'prog\tsecond\tskip\tno THP\n')
        for code, status in (0, 0), (4, 0), (1, 1):
            text = GOOD.replace('ok 2 second', 'ok 2 second # SKIP x').replace('exit: 0', f'exit: {code}')
            self.assertEqual(self.run_ktap(text, '--baseline', rows)[0], status, code)

    def test_killed(self):
        self.assert_fails(GOOD.replace('exit: 0', 'exit: 139'), 'killed by signal 11')
        for code in report.TIMED_OUT:
            self.assert_fails(GOOD.replace('exit: 0', f'exit: {code}'), '(timeout)')

    def test_bail_out(self):
        self.assert_fails('1..1\nok 1 a\nBail out! no memory\n# anon-exit: 1\n', '(bail out): no memory')

    def test_bail_out_explained_by_failures(self):
        self.assert_fails('1..2\nok 1 a\nnot ok 2 b\nBail out! 1 of 2 failed\n# anon-exit: 1\n',
                          '1 passed, 1 failed')
        self.assert_fails('1..3\nok 1 a\nnot ok 2 b\nBail out! no memory\n# anon-exit: 1\n',
                          '1 passed, 2 failed', 'planned 3 tests', '# FAILED prog: b (and 1 more)\n')

    def test_skip_needs_a_listed_reason(self):
        self.assert_fails(GOOD.replace('ok 2 second', 'ok 2 second # SKIP no THP'),
                          'second: skipped without a reason listed: no THP')

    def test_skips_need_some_reason(self):
        text = '1..2\nok 1 a # SKIP{}\nok 2 b\n# anon-exit: 0\n'
        self.assertEqual(self.run_ktap(text.format(' no swap'), '--skips')[0], 0)
        self.assertEqual(self.run_ktap(text.format(''), '--skips')[0], 1)
        # All of a program, if another has passed.
        text = '1..1\nok 1 a # SKIP{}\n# anon-exit: 4\n'
        good = f'good={self.file("good", GOOD)}'
        self.assertEqual(self.run_ktap(text.format(' no swap'), '--skips')[0], 1)
        self.assertEqual(self.run_ktap(text.format(' no swap'), '--skips', '--ktap', good)[0], 0)
        self.assertEqual(self.run_ktap(text.format(''), '--skips', '--ktap', good)[0], 1)

    def test_plain(self):
        for code, status, why in ((0, 0, 'ok 1 prog'), (1, 1, 'prog: exit 1'), (4, 1, '(all skipped)'),
                                  (124, 1, '(timeout)')):
            got, output = self.run_ktap(f'all good\n# anon-exit: {code}\n', kind='--plain')
            self.assertEqual(got, status, output)
            self.assertIn(why, output)
        self.assert_fails('all good\n', '(truncated)', kind='--plain')

    def test_no_program(self):
        status, output = self.report('--console', self.file('log', CONSOLE.format('')))
        self.assertEqual(status, 1)
        self.assertIn('no test passed', output)

    def test_many_problems_of_a_kind_are_one_failure(self):
        self.assert_fails('ok 2 a\n# anon-exit: 0\n', '(plan): result 2 where 1 was due; missing plan',
                          '1 passed, 1 failed')

    def test_command(self):
        command = [sys.executable, report.__file__]
        for args, status in ((['--plain', 'a=' + self.file('a', '# anon-exit: 0\n')], 0),
                             (['--plain', 'a=' + self.file('b', '# anon-exit: 1\n')], 1),
                             (['--baseline', self.dir.name + '/none'], 2)):
            run = subprocess.run(command + args, capture_output=True, text=True, check=False)
            self.assertEqual(run.returncode, status, run)
        self.assertRegex(run.stderr, r'^report.py: .*none')

    def test_usage(self):
        for args in (('--ktap', 'noname'), ('--ktap', '=x'), ('--ktap', 'a='), ('--ktap', 'a=x', '--plain', 'a=y')):
            with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
                report.main(list(args))


class Nested(ReportTest):
    KUNIT = ('[    0.4] KTAP version 1\n'
             '[    0.4] 1..2\n'
             '[    0.4]     KTAP version 1\n'
             '[    0.4]     # Subtest: anon\n'
             '[    0.4]     # module: anon\n'
             '[    0.4]     1..2\n'
             '[    0.4]         KTAP version 1\n'
             '[    0.4]         # Subtest: tags\n'
             '[    0.4]         ok 1 tag-0\n'
             '[    0.4]         ok 2 tag-1\n'
             '[    0.4]     # tags: pass:2 fail:0 skip:0 total:2\n'
             '[    0.4]     ok 1 tags\n'
             '[    0.4] unrelated kernel message\n'
             '[    0.4]     ok 2 upgrade\n'
             '[    0.4] # anon: pass:2 fail:0 skip:0 total:2\n'
             '[    0.4] ok 1 anon\n'
             '[    0.4]     KTAP version 1\n'
             '[    0.4]     # Subtest: other\n'
             '[    0.4]     1..1\n'
             '[    0.4]     ok 1 only\n'
             '[    0.4] ok 2 other\n'
             '# anon-exit: 0\n')

    def test_good(self):
        summary = os.path.join(self.dir.name, 'summary')
        status, output = self.run_ktap(self.KUNIT, '--summary', summary)
        self.assertEqual(status, 0, output)
        self.assertIn('4 passed, 0 failed', output)
        with open(summary, encoding='utf-8') as file:
            text = file.read()
        self.assertIn('\n  KTAP version 1\n  1..4\n', text)
        self.assertIn('  ok 2 anon/tags/tag-1\n', text)
        self.assertTrue(text.endswith('\n4 passed, 0 failed, 0 skipped\n'))
        status, output = self.run_ktap(text + '# anon-exit: 0\n')    # it reads what it writes
        self.assertEqual(status, 0, output)

    def test_summary_of_failures_is_ktap(self):
        summary = os.path.join(self.dir.name, 'summary')
        bad = self.KUNIT.replace('    ok 2 upgrade', '    not ok 2 upgrade').replace('exit: 0', 'exit: 1')
        self.run_ktap(bad, '--summary', summary)
        with open(summary, encoding='utf-8') as file:
            output = self.assert_fails(file.read() + '# anon-exit: 1\n', 'prog: prog/anon/upgrade\n')
        self.assertNotIn('(plan)', output)

    def test_child_fails(self):
        self.assert_fails(self.KUNIT.replace('ok 2 tag-1', 'not ok 2 tag-1').replace('exit: 0', 'exit: 1'),
                          'FAILED prog: anon/tags/tag-1', '3 passed, 1 failed')
        bad = self.KUNIT
        for line in 'ok 2 tag-1', 'ok 1 tags', 'ok 1 anon':
            bad = bad.replace(line, 'not ' + line)
        self.assert_fails(bad.replace('exit: 0', 'exit: 1'), '3 passed, 1 failed')

    def test_parent_fails_alone(self):
        self.assert_fails(self.KUNIT.replace('ok 1 anon', 'not ok 1 anon').replace('exit: 0', 'exit: 1'),
                          'FAILED prog: anon\n')

    def test_short_or_long_subtest(self):
        self.assert_fails(self.KUNIT.replace('    1..1', '    1..2'), 'planned 2 tests, got 1')
        self.assert_fails(self.KUNIT.replace('    1..2', '    1..1'), 'planned 1 tests, got 2')

    def test_subtest_without_result(self):
        self.assert_fails(self.KUNIT.replace('[    0.4] ok 2 other\n', ''),
                          'subtests without a result line', 'planned 2 tests, got 1')
        self.assert_fails('1..1\n  1..1\n    1..1\n    ok 1 a\nok 1 b\n# anon-exit: 0\n',
                          'subtests without a result line')
        output = self.assert_fails('    1..1\n    ok 1 a\n1..1\nok 1 b\n# anon-exit: 0\n',
                                   'subtests without a result line')
        self.assertIn('2 passed, 1 failed', output)
        self.assert_fails('1..1\nok 1 a\n  1..1\n  ok 1 b\n# anon-exit: 0\n',
                          'subtests without a result line')

    def test_lost_head(self):
        self.assert_fails(self.KUNIT.split('\n', 2)[2], 'missing plan')


class Console(ReportTest):
    def check(self, log, *args):
        return self.report('--console', self.file('guest.log', log), '--ktap',
                           'prog=' + self.file('prog', GOOD), *args)

    def test_good(self):
        status, output = self.check(CONSOLE.format(OOM))
        self.assertEqual(status, 0, output)

    def test_is_named_after_its_guest(self):
        log = self.file('x86_64-own/console.log', CONSOLE.format(''))
        good = self.file('prog', GOOD)
        self.assertIn('ok 2 console x86_64-own/console.log', self.report('--console', log, '--ktap', 'prog=' + good)[1])

    def test_every_splat(self):
        for splat in SPLATS:
            with self.subTest(splat):
                status, output = self.check(CONSOLE.format(f'[    5.0] {splat}\n'))
                self.assertEqual(status, 1)
                self.assertIn(f'guest.log:7: [    5.0] {splat}', output)

    def test_every_pattern_is_needed(self):
        self.assertEqual(len(SPLATS), len(report.SPLATS))
        for number, line in enumerate(SPLATS):
            hits = [n for n, pattern in enumerate(report.SPLATS) if re.search(pattern, line)]
            self.assertEqual(hits, [number], line)

    def test_context_is_printed(self):
        _, output = self.check(CONSOLE.format(f'before\n{SPLATS[0]}\n' + 'after\n' * 50))
        self.assertIn('# before\n', output)
        self.assertGreater(output.count('# after\n'), 25)

    def test_call_trace_after_or_without_an_oom_kill(self):
        trace = '[    5.0] Call Trace:\n'
        for log in trace, OOM + trace, OOM + '\n' * 40 + trace:
            self.assertEqual(self.check(CONSOLE.format(log))[0], 1, log)

    def test_splat_beside_an_oom_kill(self):
        self.assertEqual(self.check(CONSOLE.format(f'{SPLATS[0]}\n{OOM}'))[0], 1)
        self.assertEqual(self.check(CONSOLE.format(f'{OOM}{SPLATS[0]}\n'))[0], 1)

    def test_splat_before_banner_and_after_end(self):
        for log in SPLATS[0] + '\n' + CONSOLE.format(''), CONSOLE.format('') + SPLATS[0] + '\n':
            self.assertEqual(self.check(log)[0], 1)

    def test_not_a_kernel_log(self):
        for log in '', 'SeaBIOS\n', CONSOLE.format('').split('\n', 1)[1]:
            status, output = self.check(log)
            self.assertEqual(status, 1)
            self.assertIn('not a kernel log', output)
        status, output = self.report('--console', self.dir.name + '/none', '--ktap',
                                     'prog=' + self.file('prog', GOOD))
        self.assertEqual(status, 1)
        self.assertIn('no console log', output)

    def test_truncated(self):
        status, output = self.check(CONSOLE.format('').replace('reboot: Power down', ''))
        self.assertEqual(status, 1)
        self.assertIn('no end marker', output)

    def test_end_marker(self):
        self.assertEqual(self.check(CONSOLE.format('the (end)\n'), '--end-marker', 'the (end)')[0], 0)
        self.assertEqual(self.check(CONSOLE.format(''), '--end-marker', 'the end')[0], 1)
        stale = 'the end\n' + CONSOLE.format('')
        self.assertEqual(self.check(stale, '--end-marker', 'the end')[0], 1)

    def test_allow(self):
        warning = '[    5.0] WARNING: CPU: 0 PID: 1 at drivers/known.c:1 known+0x1/0x2\n[    5.0] Call Trace:\n'
        allow = self.file('allow', '# comment\nat drivers/known.c\tknown since 7.2, harmless\n')
        self.assertEqual(self.check(CONSOLE.format(warning))[0], 1)
        self.assertEqual(self.check(CONSOLE.format(warning), '--allow', allow)[0], 0)
        other = warning.replace('drivers/known.c', 'mm/rmap.c')
        self.assertEqual(self.check(CONSOLE.format(warning + other), '--allow', allow)[0], 1)

    def test_broken_allow_file_is_no_clean_log(self):
        for row in ('at drivers/known.c\n', 'at drivers/known.c\t \n', '.*\tall\n', '\tnothing\n',
                    'WARNING\tnoise\n', '(\tbroken\n'):
            with self.assertRaises(report.Error, msg=row):
                self.check(CONSOLE.format(''), '--allow', self.file('allow', row))
        with self.assertRaises(OSError):
            self.check(CONSOLE.format(''), '--allow', self.dir.name + '/none')


class Baseline(ReportTest):
    MIXED = ('1..4\nok 1 good\nnot ok 2 bad\nok 3 # SKIP unable\nok 4 shaky\n# anon-exit: 1\n')
    ROWS = ('# hand-written remark\nprog\t*\tcount=4\nprog\tbad\tfail\tcannot work on the base\n'
            'prog\tunable\tskip\tno such device\nprog\tshaky\tflaky\traces with khugepaged\n'
            'absent\tx\tfail\t\n')

    def check(self, text, rows=ROWS):
        return self.run_ktap(text, '--baseline', self.file('baseline', rows))

    def assert_baseline_fails(self, why, text=MIXED, rows=ROWS):
        status, output = self.check(text, rows)
        self.assertEqual(status, 1, output)
        self.assertIn(why, output)

    def test_known(self):
        status, output = self.check(self.MIXED)
        self.assertEqual(status, 0, output)
        self.assertIn('2 passed, 0 failed, 2 skipped', output)
        summary = os.path.join(self.dir.name, 'summary')
        self.run_ktap(self.MIXED, '--baseline', self.file('baseline', self.ROWS), '--summary', summary)
        with open(summary, encoding='utf-8') as file:
            text = file.read()
        self.assertIn('  ok 2 bad # SKIP known on the base (fail): cannot work on the base\n'
                      '  ok 3 unable # SKIP no such device\n', text)
        status, output = self.check(self.MIXED.replace('ok 4', 'not ok 4'))
        self.assertEqual(status, 0, output)
        self.assertIn('1 passed, 0 failed, 3 skipped', output)

    def test_of_an_architecture(self):
        rows = self.file('rows', self.ROWS)
        for name, baseline, status in (('arm64/prog', 'arm64=' + rows, 0), ('arm64/prog', rows, 1),
                                       ('arm64/prog', 'x86_64=' + rows, 1), ('prog', 'arm64=' + rows, 1)):
            self.assertEqual(self.run_ktap(self.MIXED, '--baseline', baseline, name=name)[0], status, (name, baseline))

    def test_new_failure(self):
        self.assert_baseline_fails('FAILED prog: good', self.MIXED.replace('ok 1', 'not ok 1'))
        self.assert_baseline_fails('FAILED prog: unable', self.MIXED.replace('ok 3 # SKIP', 'not ok 3'))
        self.assertNotIn('passes now', self.check(self.MIXED.replace('ok 3 # SKIP', 'not ok 3'))[1])

    def test_new_skip(self):
        self.assert_baseline_fails('good: skipped without a reason listed',
                                   self.MIXED.replace('good', 'good # SKIP x'))
        self.assert_baseline_fails('shaky: skipped without a reason listed',
                                   self.MIXED.replace('shaky', 'shaky # SKIP x'))
        self.assert_baseline_fails('bad: skipped without a reason listed',
                                   self.MIXED.replace('not ok 2 bad', 'ok 2 bad # SKIP x'))

    def test_entry_without_reason(self):
        for reason in 'cannot work on the base', 'no such device', 'races with khugepaged':
            self.assert_baseline_fails('without a reason', rows=self.ROWS.replace(reason, ''))
        self.assert_baseline_fails('gone: listed in the baseline without a reason',
                                   rows=self.ROWS + 'prog\tgone\tflaky\t\n')

    def test_passes_now(self):
        status, output = self.check(self.MIXED.replace('not ok 2', 'ok 2').replace('exit: 1', 'exit: 0'))
        self.assertEqual(status, 0, output)
        self.assertIn('bad: passes now', output)
        self.assertNotIn('shaky: passes now', output)
        status, output = self.check(self.MIXED.replace('# SKIP ', ''))
        self.assertIn('unable: passes now, listed as skip', output)

    def test_listed_case_did_not_run(self):
        self.assert_baseline_fails('gone: listed in the baseline as fail, did not run',
                                   rows=self.ROWS + 'prog\tgone\tfail\tx\n')
        status, output = self.check(self.MIXED, self.ROWS + 'prog\tgone\tflaky\tx\n')
        self.assertEqual(status, 0, output)

    def test_cases_disappear(self):
        self.assert_baseline_fails('4 tests, the base has 5', rows=self.ROWS.replace('=4', '=5'))
        self.assert_baseline_fails('4 tests, the base has 5', rows=self.ROWS.replace('=4', '>=5'))
        for count in '>=4', '>=3', '=3':
            status, output = self.check(self.MIXED, self.ROWS.replace('=4', count))
            self.assertEqual(status, 0)
            self.assertEqual('4 tests, the base has 3' in output, count == '=3')

    def test_known_problem_of_the_program(self):
        text = self.MIXED.replace('exit: 1', 'exit: 139')
        self.assert_baseline_fails('killed by signal 11', text)
        rows = self.ROWS + 'prog\t(exit)\tfail\tcrashes in its clean-up\n'
        self.assertEqual(self.check(text, rows)[0], 0)
        status, output = self.check(self.MIXED, rows)
        self.assertEqual(status, 0)
        self.assertIn('(exit): happens no more', output)

    def test_same_name_twice(self):
        twice = '1..2\nok 1 same\nnot ok 2 same\n# anon-exit: 1\n'
        self.assertEqual(self.check(twice, 'prog\tsame (2)\tfail\tx\n')[0], 0)
        self.assert_baseline_fails('FAILED prog: same (2)', twice, 'prog\tsame\tfail\tx\n')

    def test_malformed(self):
        for row in ('prog\tbad\n', 'prog\tbad\tmaybe\tx\n', 'prog\t*\tfail\tx\n', 'prog\t*\tcount=x\n',
                    'prog\tbad\tfail\tx\ty\n', 'prog\tbad\tfail\tx\nprog\tbad\tfail\tx\n'):
            with self.assertRaises(report.Error, msg=row):
                self.check(self.MIXED, row)
        with self.assertRaises(OSError):
            self.run_ktap(self.MIXED, '--baseline', self.dir.name + '/none')

    def test_write(self):
        path = self.file('baseline', self.ROWS.replace('count=4', 'count>=9')
                         + 'prog\tgood\tfail\told\nprog\tmixed up\tskip\told\n')
        text = self.MIXED.replace('ok 4 shaky', 'not ok 4 new')
        status, output = self.run_ktap(text, '--write-baseline', path)
        self.assertEqual(status, 0)
        self.assertIn('needs a reason: prog: new: \n', output)
        self.assertIn('written, 1 rows need a reason', output)
        with open(path, encoding='utf-8') as file:
            self.assertEqual(file.read(), (
                '# hand-written remark\nabsent\tx\tfail\t\nprog\t*\tcount>=4\n'
                'prog\tbad\tfail\tcannot work on the base\nprog\tunable\tskip\tno such device\n'
                'prog\tnew\tfail\t\nprog\tshaky\tflaky\traces with khugepaged\n'))
        self.assertEqual(self.run_ktap(text, '--baseline', path)[0], 1)     # until it has a reason

    def test_write_keeps_a_lower_count(self):
        path = self.file('baseline', 'prog\t*\tcount>=1\n')
        self.run_ktap(GOOD, '--write-baseline', path)
        self.assertEqual(report.read_baseline(path)[1], {'prog': {'*': ('count>=1', '')}})

    def test_program_that_always_fails(self):
        rows = self.file('baseline', 'prog\tprog\tfail\tneeds hardware\n')
        bad = 'prog=' + self.file('bad', '# anon-exit: 1\n')
        status, output = self.report('--plain', bad, '--ktap', 'x=' + self.file('x', GOOD), '--baseline', rows)
        self.assertEqual(status, 0)
        self.assertIn('\nok 1 prog # SKIP 0 passed, 0 failed, 1 skipped\n', output)
        self.assertEqual(self.report('--plain', bad, '--baseline', rows)[0], 1)      # nothing passed

    def test_write_keeps_reasons_of_the_same_result_only(self):
        path = self.file('baseline', 'prog\tbad\tskip\tx\nprog\tunable\tfail\tx\nprog\tshaky\tflaky\tx\n')
        self.run_ktap(self.MIXED.replace('ok 4', 'not ok 4'), '--write-baseline', path)
        self.assertEqual(report.read_baseline(path)[1]['prog'], {
            '*': ('count=4', ''), 'bad': ('fail', ''), 'unable': ('skip', ''), 'shaky': ('flaky', 'x')})

    def test_write_anew(self):
        path = os.path.join(self.dir.name, 'new')
        self.assertEqual(self.run_ktap(GOOD, '--write-baseline', path)[0], 0)
        self.assertEqual(report.read_baseline(path)[1], {'prog': {'*': ('count=2', '')}})
        self.assertEqual(self.run_ktap(GOOD, '--baseline', path)[0], 0)

    def test_write_refuses_a_broken_run(self):
        path = os.path.join(self.dir.name, 'new')
        for args in (('--ktap', 'prog=' + self.file('prog', 'TAP version 13\n')), (),
                     ('--ktap', 'prog=' + self.file('good', GOOD), '--console', self.file('log', ''))):
            with self.assertRaises(report.Error):
                self.report(*args, '--write-baseline', path)
            self.assertFalse(os.path.exists(path))


if __name__ == '__main__':
    unittest.main()
