"""The frame of the HTML report and its style, in light and dark, on a desk and on a phone."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<nav aria-label="Contents">
{contents}</nav>
<main>
{body}</main>
</body>
</html>
"""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: light-dark(#fff, #14171c); --raised: light-dark(#f4f6f8, #1d2128);
  --text: light-dark(#1c2024, #e3e6ea); --quiet: light-dark(#5a636d, #9aa4b0);
  --line: light-dark(#dde2e7, #323943); --link: light-dark(#0b57a4, #7db7f5);
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--text);
  font: 16px/1.55 system-ui, sans-serif; overflow-wrap: break-word;
}
main { max-width: 78rem; padding: 1rem 1.25rem 4rem; min-width: 0; }
nav { padding: 1rem 1.25rem; border-bottom: 1px solid var(--line); font-size: .9rem; }
nav ul { list-style: none; margin: 0; padding: 0; font-weight: 600; }
nav ul ul { display: none; padding-left: .9rem; font-weight: 400; }
nav a { display: block; padding: .12rem 0; color: var(--link); text-decoration: none; }
nav a:hover { text-decoration: underline; }
h1 { font-size: 1.8rem; line-height: 1.2; }
h2 { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { margin-top: 2rem; }
h1, h2, h3, h4 { text-wrap: balance; scroll-margin-top: .5rem; }
p { max-width: 46rem; }
p:has(> strong) { margin: 1.8rem 0 .4rem; }
p:has(img) { max-width: none; margin: 0; }
:is(.table, p:has(img)) + p:not(:has(> strong), :has(img)) {
  color: var(--quiet); font-size: .92rem; margin: .4rem 0 0;
}
img { max-width: 100%; height: auto; display: block; border-radius: 6px; background: #fff; }
.wide { display: block; overflow-x: auto; }
.wide img { max-width: max(100%, 40rem); }
.table {
  overflow-x: auto; width: fit-content; max-width: 100%;
  border: 1px solid var(--line); border-radius: 6px;
}
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { background: var(--raised); white-space: nowrap; }
td { overflow-wrap: normal; }
td:first-child, td[style] { white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
code { font-size: .88em; background: var(--raised); padding: .1em .3em; border-radius: 4px; }
@media (prefers-color-scheme: dark) { img { filter: brightness(.88); } }
@media (min-width: 70rem) {
  body { display: grid; grid-template-columns: 17rem minmax(0, 1fr); }
  nav {
    position: sticky; top: 0; height: 100vh; overflow-y: auto;
    border-bottom: 0; border-right: 1px solid var(--line);
  }
  nav ul ul { display: block; }
  main { padding: 1rem 2.5rem 4rem; }
}
"""
