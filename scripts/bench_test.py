#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of bench.py: numbers in the texts that are not those of the run must be seen."""
import argparse
import contextlib
import io
import os
import shutil
import sys
import tempfile
import unittest
import xml.dom.minidom

sys.dont_write_bytecode = True
import bench  # noqa: E402

CACHES = (('anon_vma', 104), ('anon_vma_chain', 64), ('vm_area_struct', 192))
BLOCK = 'Before.\n\nMeasured by make bench, {}:\n\n{}  stale 1 2\n\nAfter.\n'


def ops(cost):
    """What ops.c prints, for every row of the headline."""
    return ''.join(f'op {name}: {axis} {x} 10 {10 * (cost + extra)}\n'
                   for name, axis, x, _ in bench.HEADLINE for extra in (7, 0, 0)) + 'done\n'


def memory(phases, count):
    return ''.join(f'phase {phase} what {phase} is\n' +
                   ''.join(f'mem {phase} {cache} {count} {size}\n' for cache, size in CACHES)
                   for phase in phases) + 'done\n'


class BenchTest(unittest.TestCase):
    def setUp(self):
        bench.FACTS = ((r'saves (\d+) at', 'change', -1, ('first touch', 'VMAs', '100')),)
        bench.PROGRAMS = {}
        self.top = bench.TOP = tempfile.mkdtemp(prefix='bench-test-')
        self.addCleanup(shutil.rmtree, self.top)
        for variant, cost, count in (('base', 4000, 20000), ('series', 3000, 400)):
            for name, text in (('ops', ops(cost)), ('memory', memory('ab', count)),
                               ('decay', memory('c', count)), ('console', 'QEMU 7.2\n[    0.0] Linux version 7.3.4 (a@b) (clang 19, LLD 19) #1\n')):
                self.write(f'logs/x86_64/{variant}/{name}.{"log" if name == "console" else "ktap"}',
                           text)
        self.write('README.md', BLOCK.format('operations on x86_64', '    '))
        self.write('docs/design.rst', BLOCK.format('memory on x86_64', '  ').replace('64:', '64::'))
        self.write('series/cover-letter', 'No table. It saves 1010 at once.\n')
        for name in 'common', 'plain', 'x86_64':
            self.write(f'configs/{name}.config', f'CONFIG_{name}=y\n')
        self.write('series/0002-mm-rmap.patch', 'message\n---\n\ndiff --git code\n')

    def write(self, name, text):
        path = f'{self.top}/{name}'
        os.makedirs(os.path.dirname(path), exist_ok=True)
        bench.write_text(path, text)

    def read(self, name):
        return bench.read_text(f'{self.top}/{name}')

    def collect(self):
        with contextlib.redirect_stdout(io.StringIO()):
            bench.do_collect(argparse.Namespace(docs=f'{self.top}/docs', logs=f'{self.top}/logs',
                                                arch=['x86_64']))

    def collect_and_apply(self):
        self.collect()
        bench.do_apply()

    def check(self, current=False):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            bench.do_check(current)
        return out.getvalue()

    def assert_bad(self, what):
        with self.assertRaisesRegex(bench.Error, what):
            self.check()

    def change(self, name, old, new):
        text = self.read(name)
        self.assertIn(old, text)
        self.write(name, text.replace(old, new, 1))

    def test_good(self):
        self.collect_and_apply()
        self.assertIn('2 tables and 1 sentences agree', self.check())
        readme = self.read('README.md')
        self.assertRegex(readme, r'first touch .* 4000 +4 +3000 +4 +-25\.0%')
        self.assertTrue(readme.startswith('Before.') and readme.endswith('\nAfter.\n'))
        self.assertNotIn('stale', readme)
        # Applied twice is applied once.
        bench.do_apply()
        self.assertEqual(readme, self.read('README.md'))
        for name in os.listdir(f'{self.top}/docs'):
            if name.endswith('.svg'):
                xml.dom.minidom.parse(f'{self.top}/docs/{name}')

    def test_not_applied(self):
        self.collect()
        self.assert_bad('README.md, docs/design.rst')

    def test_number_changed_in_text(self):
        self.collect_and_apply()
        self.change('README.md', ' 3000 ', ' 2999 ')
        self.assert_bad('README.md')

    def test_line_removed_from_text(self):
        self.collect_and_apply()
        self.write('docs/design.rst', ''.join(
            line for line in self.read('docs/design.rst').splitlines(True) if 'chain' not in line))
        self.assert_bad('design.rst')

    def test_number_changed_in_json(self):
        self.collect_and_apply()
        self.change('docs/bench.json', '"min": 3000', '"min": 3100')
        self.assert_bad('bench.rst')

    def test_number_changed_in_results_or_chart(self):
        self.collect_and_apply()
        for name in ('bench.rst', 'bench-fault-x86_64.svg'):
            good = self.read(f'docs/{name}')
            self.write(f'docs/{name}', good.replace('0', '1', 1))
            self.assert_bad(name)
            self.write(f'docs/{name}', good)
        self.check()

    def test_number_changed_in_sentence(self):
        self.collect_and_apply()
        self.change('series/cover-letter', '1010', '1100')
        self.assert_bad('cover-letter says 1100 for first touch, 100 VMAs: 1000')
        self.write('series/cover-letter', 'It saves much.\n')
        self.assert_bad('no text has')

    def test_stray_chart(self):
        self.collect_and_apply()
        self.write('docs/bench-old-x86_64.svg', '')
        self.assert_bad('bench-old')

    def test_unknown_table(self):
        self.collect_and_apply()
        self.write('series/cover-letter', BLOCK.format('speed on vax', '  '))
        self.assert_bad('speed on vax')

    def test_no_table(self):
        self.collect_and_apply()
        for name in bench.TEXTS:
            self.write(name, 'Nothing.\n')
        self.assert_bad('no text has a table')

    def test_other_patches_are_told(self):
        self.collect_and_apply()
        self.assertNotIn('changed', self.check())
        self.write('series/0009-selftests-add.patch', 'a test\n')
        self.assertNotIn('changed', self.check())
        self.write('series/0002-mm-rmap.patch', 'reworded\n---\n\ndiff --git code\n')
        self.assertNotIn('have changed', self.check())
        self.write('series/0002-mm-rmap.patch', 'reworded\n---\n\ndiff --git other\n')
        self.assertIn('have changed since x86_64 was measured', self.check())
        with self.assertRaisesRegex(bench.Error, 'have changed'):
            self.check(current=True)

    def test_two_runs(self):
        self.collect_and_apply()
        text = self.read('docs/bench.json')
        data = {name: bench.json.loads(text)['x86_64'] for name in ('x86_64', 'arm64')}
        bench.write_generated(f'{self.top}/docs', data)
        self.write('docs/bench.json', bench.dump(data))
        self.check()
        data['arm64']['run']['started'] += 1
        self.write('docs/bench.json', bench.dump(data))
        self.assert_bad('not of one run')

    def test_programs_in_sentence(self):
        for variant, count in (('base', 50), ('series', 20)):
            self.write(f'logs/x86_64/{variant}/programs.ktap',
                       memory(('before',), 16)[:-len('done\n')] + memory(('node',), count))
        bench.PROGRAMS = {'node': 'node'}
        self.collect_and_apply()
        self.assert_bad('says nothing for the anon_vmas of node: 34 -> 4')
        self.write('series/cover-letter', 'It saves 1010 at once. node 34 anon_vmas\n-> 5\n')
        self.assert_bad('says 34 -> 5 for the anon_vmas of node')
        self.write('series/cover-letter', 'It saves 1010 at once. node 34 anon_vmas\n-> 4\n')
        self.check()

    def test_cut_short(self):
        for name in ('ops', 'memory'):
            path = f'logs/x86_64/series/{name}.ktap'
            good = self.read(path)
            self.write(path, good.replace('done\n', ''))
            with self.assertRaisesRegex(bench.Error, 'cut short'):
                self.collect()
            self.write(path, good)

    def test_unknown_kernel(self):
        self.write('logs/x86_64/base/console.log', 'QEMU 7.2\n')
        with self.assertRaisesRegex(bench.Error, 'which kernel'):
            self.collect()

    def test_missing_on_one_side(self):
        self.change('logs/x86_64/base/ops.ktap', 'op munmap:', 'op munmapped:')
        with self.assertRaisesRegex(bench.Error, 'lacks'):
            self.collect()

    def test_only_a_change_is_a_regression(self):
        for cost, worse in ((4000, 0), (4030, 0), (4100, len(bench.HEADLINE))):
            self.write('logs/x86_64/series/ops.ktap', ops(cost))
            self.collect()
            arch = bench.load(f'{self.top}/docs')['x86_64']
            self.assertEqual(len(bench.changes(arch, True)), worse)


if __name__ == '__main__':
    unittest.main()
