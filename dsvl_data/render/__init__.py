"""Rendering: clean HTML in, page images with the exact text they show out.

The contract between the readers and this room is **clean HTML**: an lxml tree whose root is
`<article lang="..">` and which holds nothing but the elements and attributes of this table.
Readers (`read.epub`, `read.questions`) produce it through `render.clean`; `render.paginate`
prints it and `render.markdown` writes it. Since one tree gives both the picture and the
words, what is shown and what is said cannot drift apart.

| elements | attributes | remark |
|---|---|---|
| article | lang, dir (ltr, rtl), class | the root; one a chapter or paper; class `vertical` asks for vertical writing |
| h1 .. h6, p, blockquote, hr, div, figure, figcaption | class, dir, lang | blocks; div only groups |
| ul, ol, li | start, value, type (1 a A i I) | markers are drawn and written by this room, never by readers |
| dl, dt, dd | | |
| pre | data-lang | a code block; white space is kept; inline children allowed |
| table, caption, thead, tbody, tfoot, tr, th, td | colspan, rowspan | |
| aside | class="footnote", data-label | a note at the foot; its label is written and shown by this room |
| em, strong, code, sup, sub, span, u, s, br | class, dir, lang | inline |
| a | class="noteref", data-label | a footnote reference; other links are unwrapped |
| ruby, rt | | rp is dropped |
| img | src, alt, width, height | src is a key of `Chapter.assets`; alt is neither shown nor written |
| math | display (block, inline), data-latex | MathML Core inside; data-latex is what the Markdown says |

Text nodes hold what the reader of the page sees: no soft hyphens, no zero-width characters (but
the joiners that Arabic, Indic scripts and emoji are shaped by),
no control characters, NFC. Everything else (scripts, styles, event handlers, forms, frames,
comments, hidden elements, links to anywhere) is gone before this room sees it.
"""
