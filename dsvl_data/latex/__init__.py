"""From a paper's TeX and PDF to page pairs: LaTeXML, Nougat's Markdown, our page alignment.

What flows where:

TeX source -> latexml -> HTML -> nougat_markdown -> Article -+
PDF -> pdf_words -> PdfPage ---------------------------------+-> align -> gates -> pages
PDF without usable source -> nougat_model -> Markdown
"""
