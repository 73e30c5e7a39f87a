import assert from "node:assert/strict";
import { test } from "node:test";
import { declarations, styleSheet } from "../../src/render/css.ts";

const DECLARATIONS: [text: string, kept: string][] = [
  ["color: red;position:fixed;z-index:9", "color:red"],
  ["border-left: 3px solid rgba(0, 0, 0, .5) !important", "border-left:3px solid rgba(0, 0, 0, .5) !important"],
  ["background: url(x)", ""],
  ["background: u\\72l(x)", ""],
  ["background: /* */ red", ""],
  ["--a: url(x); --b: 1px; width: var(--b)", "--b:1px;width:var(--b)"],
  ['font-family: "a;position:fixed"', ""],
  ["font: 'x\ny'; color: red", "font:'x y';color:red"],
  ["color: red}body{color:blue", ""],
  ["width: calc((1px + 2px)", ""],
  ["backgroundx: red", ""],
  ["width: calcé(1px)", ""],
];

for (const [text, kept] of DECLARATIONS) {
  test(`of the declarations ${JSON.stringify(text)} only what stays in its place is left`, () => {
    assert.equal(declarations(text), kept);
  });
}

const SHEETS: [text: string, kept: string][] = [
  [".a > b:hover, c[d='e'] {color: red; position: fixed}", ".a > b:hover, c[d='e']{color:red}"],
  ["@import url(x); .a{color:red}", ".a{color:red}"],
  ["@font-face{src:url(x)} .a{color:red}", ".a{color:red}"],
  ["@media (max-width: 9px) {.a{color:red} @media x{.b{color:red}}} .c{color:red}", "@media (max-width: 9px){.a{color:red}}.c{color:red}"],
  ["@media x{.a{color:red}", "@media x{.a{color:red}}"],
  ["}} .a{color:red}", ".a{color:red}"],
  [".a{.b{color:red}}", ""],
  [".a['{color:red}", ""],
  ["</style><script>{color:red}", ""],
];

for (const [text, kept] of SHEETS) {
  test(`the style sheet ${JSON.stringify(text)} holds in authors' HTML only`, () => {
    const scope = "@scope (.dash-html,.dash-markdown,.widget-html-content,.widget-htmlmath-content)";
    assert.equal(styleSheet(text), kept && `${scope}{${kept}}`);
  });
}
