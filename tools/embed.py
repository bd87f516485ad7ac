#!/usr/bin/env python3
"""Writes an assembler file that .incbin's every file under the given roots, with a table of them.

usage: embed.py OUTPUT.S PROJECT_ROOT DIR...
"""
import os
import sys

output, root, *folders = sys.argv[1:]
paths = []
for folder in folders:
    for base, dirs, names in os.walk(os.path.join(root, folder)):
        dirs.sort()
        paths += [os.path.relpath(os.path.join(base, name), root) for name in names]
paths.sort()
with open(output + ".new", "w") as out:
    out.write('\t.section .rodata\n\t.global lateen_embedded_table\n\t.global lateen_embedded_count\n')
    for i, path in enumerate(paths):
        full = os.path.join(root, path)
        out.write(f'name{i}:\t.asciz "{path}"\n\t.balign 16\ndata{i}:\t.incbin "{full}"\nend{i}:\n\t.byte 0\n')
    out.write('\t.balign 8\nlateen_embedded_count:\t.quad %d\n' % len(paths))
    # Holds addresses, so it needs relocation in a position-independent program.
    out.write('\t.section .data.rel.ro,"aw"\n\t.balign 8\nlateen_embedded_table:\n')
    for i in range(len(paths)):
        out.write(f'\t.quad name{i}, data{i}, end{i} - data{i}\n')
    out.write('\t.section .note.GNU-stack,"",@progbits\n')
os.replace(output + ".new", output)
with open(output + ".d", "w") as deps:
    deps.write(output + ": " + " ".join(os.path.join(root, p).replace(" ", "\\ ") for p in paths) + "\n")
