# In: latexmlpost, started with `-MBibliography`, which converts .bib files in a LaTeXML of its own.
# Out: that LaTeXML loads packages as the one for the article did. By itself it reads the raw code
# of every package of the article, expl3 and pgf with it, and takes minutes, or for ever.
package Bibliography;

use strict;
use warnings;

INIT {
  if ($0 =~ /latexmlpost/) {
    require LaTeXML::Common::Config;
    no warnings 'redefine';
    my $new = \&LaTeXML::Common::Config::new;
    *LaTeXML::Common::Config::new = sub {
      my ($class, %options) = @_;
      if (($options{type} // '') eq 'BibTeX') {
        my @first = split(/\n/, $ENV{BIBLIOGRAPHY_PRELOAD} // '');
        $options{includestyles} = 0;
        $options{preload} = [@first, @{ $options{preload} || [] }]; }
      return $new->($class, %options); }; } }

1;
