"""A summation tree as a figure: PYTHONPATH=notebooks /usr/bin/python3 -m lib.summation_tree OUT.png|OUT.svg [TREE] [--title TITLE]

TREE is the text that `lamp reveal` prints, "((0 1) {2 3 4})"; without it the JSON of `lamp reveal --json` is read from standard input.
Terms stand below in the order in which the tree has them; a node is as high as the additions below it are deep, so that a chain is a
staircase and a balanced tree a tent. A node of braces, terms added in one step (a matrix engine's), is a bar. Readable up to 64 terms or so.
"""
import argparse
import json
import pathlib
import re
import sys

import matplotlib

from . import style


def parse(text):
    """Nested lists; a group is a tuple. (a b c) is ((a b) c)."""
    stack = [[]]
    for token in re.findall(r"[(){}]|\d+", text):
        if token in "({":
            stack.append([])
        elif token in ")}":
            children = stack.pop()
            if token == "}":
                node = tuple(children)
            else:
                node = children[0]
                for child in children[1:]:
                    node = [node, child]
            stack[-1].append(node)
        else:
            stack[-1].append(int(token))
    if len(stack) != 1 or len(stack[0]) != 1:
        raise ValueError(f"no tree: {text[:60]!r}")
    return stack[0][0]


def layout(tree):
    """Every node after its children: (x, height, numbers of its children, its term or None, is it a group)."""
    nodes, terms = [], 0
    todo, done = [(tree, False)], []
    while todo:
        node, ready = todo.pop()
        if isinstance(node, int):
            nodes.append((float(terms), 0, [], node, False))
            terms += 1
            done.append(len(nodes) - 1)
        elif not ready:
            todo.append((node, True))
            todo.extend((child, False) for child in reversed(node))
        else:
            children = [done.pop() for _ in node][::-1]
            x = sum(nodes[c][0] for c in children) / len(children)
            nodes.append((x, 1 + max(nodes[c][1] for c in children), children, None, isinstance(node, tuple)))
            done.append(len(nodes) - 1)
    return nodes


def draw(ax, tree):
    nodes = layout(tree)
    terms = [(x, term) for x, _, _, term, _ in nodes if term is not None]
    top = nodes[-1][1]
    colour = matplotlib.colormaps["viridis"] if top else None
    for x, height, children, term, group in nodes:
        if term is not None:
            continue
        shade = colour(0.88 * height / top)
        xs = [nodes[c][0] for c in children]
        ax.plot([min(xs), max(xs)], [height, height], color=shade, linewidth=4.0 if group else 1.6, solid_capstyle="round", zorder=2)
        for child in children:
            ax.plot([nodes[child][0]] * 2, [nodes[child][1], height], color=shade, linewidth=1.2, zorder=1)
        if not group:
            ax.plot([x], [height], "o", color=shade, markersize=3.2, zorder=3)
    ax.set_xticks([x for x, _ in terms], [str(term) for _, term in terms], fontsize=max(4.0, min(8.0, 420 / len(terms))),
                  rotation=90 if len(terms) > 24 else 0)
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-0.8, len(terms) - 0.2)
    ax.set_ylim(0, top + 0.6)
    ax.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    ax.grid(axis="x", visible=False)
    ax.set_ylabel("depth of additions")
    ax.set_xlabel("term")


def figure(tree, title):
    style.use()
    nodes = layout(tree)
    terms = sum(term is not None for _, _, _, term, _ in nodes)
    drawn, ax = matplotlib.pyplot.subplots(figsize=(min(14.0, 2.2 + 0.17 * terms), min(7.0, 2.2 + 0.14 * max(nodes[-1][1], 6))))
    draw(ax, tree)
    ax.set_title(title)
    return drawn


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("tree", nargs="?")
    parser.add_argument("--title")
    options = parser.parse_args()
    text, title = options.tree, options.title
    if text is None:
        answer = json.load(sys.stdin)
        text = answer["tree"]
        if text is None:
            sys.exit(f"lib.summation_tree: {answer['why']}")
        title = title or f"{answer['n']} terms: {', '.join(answer['names']) or 'an order without a name'}"
    try:
        tree = parse(text)
    except (ValueError, IndexError) as error:
        sys.exit(f"lib.summation_tree: {error}")
    matplotlib.use("Agg")
    figure(tree, title or "").savefig(options.out)


if __name__ == "__main__":
    main()
