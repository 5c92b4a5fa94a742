#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/layers and tools/pure find what they exist for.

    test_tools.py TOOLS_FOLDER COMPILER...

Each case plants one thing in a small tree of its own, or in a small archive, and reads the verdict.
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(sys.argv[1]).resolve()
COMPILER = sys.argv[2:]

BLOCK = """# A document

```
upper <- nobody reads a block before the heading
```

## Layers

```
base        <-                      (a remark <- with an arrow)
model       <-  base
ike         <-  base model
crypto      <-  base
tests       <-  anything

openssl/*, ipsec-mb*   only in     crypto
ike/v1/*               never in    ike/v2
```
"""

# file below src/, its first line, what the verdict must contain; None: allowed
INCLUDES = [
    ("base/a.c", '#include "base/a.h"', None),
    ("model/a.c", '#include "base/a.h"', None),
    ("ike/v2/a.c", '#include "ike/core.h"', None),
    ("ike/core.c", '#include "ike/v1/main.h"', None),
    ("tests/a.c", '#include "ike/core.h"', None),
    ("base/a.c", "#include <stdio.h>", None),
    ("base/a.c", '// #include "model/a.h"', None),
    ("crypto/a.c", "#include <openssl/evp.h>", None),
    ("base/a.c", '#include "model/a.h"', '"base" may not include "model"'),
    ("base/deep/a.h", '#include "model/a.h"', '"base" may not include "model"'),
    ("base/a.def", '#include "model/a.h"', '"base" may not include "model"'),
    ("model/a.c", '  #  include "ike/core.h"', '"model" may not include "ike"'),
    ("ike/v2/a.c", '#include "ike/v1/main.h"', "may not be included in ike/v2"),
    ("ike/a.c", "#include <openssl/evp.h>", "may be included only in crypto"),
    ("ike/a.c", '#include "openssl/evp.h"', "is not written as"),
    ("ike/a.c", "#include <ipsec-mb.h>", "may be included only in crypto"),
    ("ike/a.c", '#include "core.h"', "is not written as"),
    ("ike/a.c", '#include "base/../model/a.h"', "is not written as"),
    ("stray/a.c", '#include "base/a.h"', "has no row"),
]

BAD_BLOCKS = ["", "## Layers\n\n```\n```\n", "## Layers\n\n```\nmodel <- base\n```\n", "## Layers\n\n```\nbase <-\nnonsense\n```\n"]

# C source, allowlist, what the verdict must contain; None: allowed
ARCHIVES = [
    ("int one(void); int one(void) { return 1; }", "", None),
    ("int two(void); int two(void) { extern int other(void); return other(); }", "other", None),
    ("int two(void); int two(void) { extern int other(void); return other(); }", "oth*", None),
    ("int two(void); int two(void) { extern int other(void); return other(); }", "other thing/part.c", None),
    ("int two(void); int two(void) { extern int other(void); return other(); }", "", "thing/part.c needs other"),
    ("int two(void); int two(void) { extern int other(void); return other(); }", "othe", "thing/part.c needs other"),
    ("int two(void); int two(void) { extern int other(void); return other(); }", "other else/part.c", "needs other"),
    ("int two(void); int two(void) { extern int other(void); return other(); }", "# other", "needs other"),
    ("int go(void); int go(void) { extern int own(void); return own(); }", "", "needs own"),
]

# None of these may come into the list.
FORBIDDEN = """socket bind connect listen accept send sendto sendmsg recv recvfrom recvmsg open openat fopen read write close ioctl
    poll epoll_wait select time gettimeofday clock_gettime nanosleep usleep sleep getrandom rand random getenv fork execve system
    pthread_create pthread_mutex_lock localtime gmtime_r printf puts fputs syscall exit _exit""".split()


def run(*command):
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


class Layers(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)

    def write(self, path, text):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def verdict(self, path, line):
        self.setUp()
        self.write("docs/ARCHITECTURE.md", BLOCK)
        self.write(f"src/{path}", f"// first line\n{line}\n")
        return run(TOOLS / "layers", self.root)

    def test_each_include_gets_its_verdict(self):
        for path, line, why in INCLUDES:
            with self.subTest(path=path, line=line):
                code, said = self.verdict(path, line)
                self.assertEqual(code, 1 if why else 0, said)
                if why:
                    self.assertIn(why, said)
                    self.assertTrue(said.startswith(f"src/{path}:2: "), said)

    def test_a_block_that_cannot_be_read_is_an_error(self):
        for block in BAD_BLOCKS:
            with self.subTest(block=block):
                self.write("docs/ARCHITECTURE.md", block)
                self.assertEqual(run(TOOLS / "layers", self.root)[0], 2)

    def test_a_missing_document_is_an_error(self):
        self.assertEqual(run(TOOLS / "layers", self.root)[0], 2)


class Pure(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)

    def archive(self, name, source):
        (self.root / "part.c").write_text(source + "\n", encoding="utf-8")
        archive = self.root / f"lib{name}.a"
        archive.unlink(missing_ok=True)
        subprocess.run([*COMPILER, "-c", self.root / "part.c", "-o", self.root / "part.c.o"], check=True)
        subprocess.run(["ar", "rcs", archive, self.root / "part.c.o"], check=True)
        return archive

    def verdict(self, archive, allow, *more):
        (self.root / "allow").write_text(allow + "\n", encoding="utf-8")
        return run(TOOLS / "pure", "--allow", self.root / "allow", *more, archive)

    def test_each_archive_gets_its_verdict(self):
        for source, allow, why in ARCHIVES:
            with self.subTest(source=source, allow=allow):
                code, said = self.verdict(self.archive("thing", source), allow)
                self.assertEqual(code, 1 if why else 0, said)
                self.assertIn(why or "", said)

    def test_a_symbol_may_come_from_an_archive_beside(self):
        beside = self.archive("beside", "int other(void); int other(void) { extern int third(void); return third(); }")
        thing = self.archive("thing", "int two(void); int two(void) { extern int other(void); return other(); }")
        self.assertEqual(self.verdict(thing, "", "--beside", beside)[0], 0)
        code, said = self.verdict(thing, "", beside)
        self.assertEqual(code, 1)
        self.assertIn("beside/part.c needs third", said)

    def test_a_static_function_does_not_serve_others(self):
        hidden = self.archive("hidden", "static int other(void) { return 1; } int (*at)(void) = other;")
        thing = self.archive("thing", "int two(void); int two(void) { extern int other(void); return other(); }")
        self.assertEqual(self.verdict(thing, "", "--beside", hidden)[0], 1)

    def test_what_cannot_be_read_is_an_error(self):
        self.assertEqual(self.verdict(self.root / "libmissing.a", "")[0], 2)
        thing = self.archive("thing", ARCHIVES[0][0])
        self.assertEqual(self.verdict(thing, "same\nsame")[0], 2)
        self.assertEqual(run(TOOLS / "pure", "--allow", self.root / "absent", thing)[0], 2)

    def test_the_list_names_nothing_that_enters_the_kernel(self):
        for symbol in FORBIDDEN:
            with self.subTest(symbol=symbol):
                source = f"typedef int call(void); extern call {symbol}; extern call *at; call *at = {symbol};"
                archive = self.archive("ike", source)
                code, said = run(TOOLS / "pure", archive)
                self.assertEqual(code, 1, said)
                self.assertIn(f"needs {symbol}", said)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
