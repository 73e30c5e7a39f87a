import assert from "node:assert/strict";
import { test } from "node:test";
import { MAYBE_MATH, splitMath } from "../../src/render/delimiters.ts";

/** Prose as it is, inline maths in ‹›, displayed in «». */
const shown = (text: string) =>
  splitMath(text)
    .map((part) => (part.kind === "text" ? part.text : part.display ? `«${part.tex}»` : `‹${part.tex}›`))
    .join("");

const CASES: [what: string, text: string, expected: string][] = [
  ["a pair of dollars is inline", "so $E=mc^2$.", "so ‹E=mc^2›."],
  ["two pairs of dollars are displayed", "$$a$$", "«a»"],
  ["displayed maths may span lines", "$$\na\nb\n$$", "«\na\nb\n»"],
  ["brackets and parentheses", "\\[a\\] \\(b\\)", "«a» ‹b›"],
  ["escaped backslashes before brackets", "\\\\[a\\\\] \\\\(b\\\\)", "«a» ‹b›"],
  ["an environment keeps its begin and end", "x \\begin{align}a&=b\\end{align}", "x «\\begin{align}a&=b\\end{align}»"],
  ["a starred environment", "\\begin{align*}a\\end{align*}", "«\\begin{align*}a\\end{align*}»"],
  ["prices are prose", "from $5 and $6 a day", "from $5 and $6 a day"],
  ["a price before a formula is prose", "$5 for $x$", "$5 for ‹x›"],
  ["a range of prices is prose", "$5-$10", "$5-$10"],
  ["a dollar before a space is prose", "$ x$", "$ x$"],
  ["an escaped dollar is a dollar", "\\$5 and \\$6", "$5 and $6"],
  ["an escaped dollar inside of maths stays there", "$\\$5$", "‹\\$5›"],
  ["dollars in braces belong to the formula", "$\\text{if $x$}$", "‹\\text{if $x$}›"],
  ["an unclosed formula is prose", "a $x and no more", "a $x and no more"],
  ["an unclosed environment is prose", "\\begin{align} a", "\\begin{align} a"],
  ["a blank line ends an inline formula", "$a\n\nb$", "$a\n\nb$"],
  ["empty dollars are prose", "$$ $$", "$$ $$"],
  ["other backslashes stay", "a \\\\ b \\alpha", "a \\\\ b \\alpha"],
];

for (const [what, text, expected] of CASES) test(what, () => assert.equal(shown(text), expected));

test("nothing of any text is lost but the backslashes before dollars", () => {
  const pieces = ["$", "$$", "\\[", "\\]", "\\(", "\\)", "a", " ", "{", "}", "\\begin{x}", "\\end{x}", "\n\n", "5", "\\"];
  let seed = 7;
  const next = () => (seed = (seed * 48271) % 2147483647);
  for (let i = 0; i < 3000; i += 1) {
    const text = Array.from({ length: next() % 14 }, () => pieces[next() % pieces.length]).join("");
    const whole = splitMath(text).map((part) => (part.kind === "text" ? part.text : part.source)).join("");
    assert.equal(whole.replaceAll("\\", ""), text.replaceAll("\\", ""), JSON.stringify(text));
    if (splitMath(text).some((part) => part.kind === "math")) assert.match(text, MAYBE_MATH);
  }
});
