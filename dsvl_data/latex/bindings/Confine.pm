# In: a Perl program (latexml, latexmlpost) that starts with `-MConfine`, and in its environment
# CONFINE_READ and CONFINE_TRUST (folders, one a line) and CONFINE_WORK (one folder).
# Out: the same program, which reads files below these folders only, writes files below
# CONFINE_WORK only, runs Perl code from CONFINE_TRUST and Perl's own library only, and has no
# network.
#
# A LaTeX article is a program, and LaTeXML lets it read any file by name (\input, \openin,
# \lstinputlisting), fetch addresses, and run Perl: a `.ltxml` beside the article is loaded as code,
# and \pgfmathparse evaluates its argument. Two fences, since neither is enough alone: the kernel's
# (Landlock, from Linux 5.13; needs no privilege and holds for every child) and, where the kernel
# has none, these wrappers around how Perl opens files.
package Confine;

use strict;
use warnings;
use Cwd      ();
use Fcntl    ();
use Symbol   ();

my $WORK  = Cwd::abs_path($ENV{CONFINE_WORK} // die "CONFINE_WORK is not set\n");
my @READ  = folders($ENV{CONFINE_READ});
my @TRUST = folders($ENV{CONFINE_TRUST});
# Perl's library: LaTeXML itself lies there. Relative entries would follow the working directory.
my @CODE = (@TRUST, grep { defined } map { Cwd::abs_path($_) } grep { !ref && m|^/| && -d } @INC);
@INC = grep { ref || m|^/| } @INC;

sub folders {
  my ($lines) = @_;
  return grep { defined } map { Cwd::abs_path($_) } grep { length && -d } split(/\n/, $lines // ''); }

# The real path of a file, links followed; of one that is not there, as far as its folder.
sub real {
  my ($path) = @_;
  return Cwd::abs_path($path) if -e $path || -l $path;
  my ($folder, $name) = $path =~ m|^(.*/)?([^/]*)$|s;
  my $there = Cwd::abs_path(length($folder // '') ? $folder : '.');
  return defined $there ? "$there/$name" : undef; }

sub below {
  my ($path, @folders) = @_;
  return defined $path && scalar(grep { $path eq $_ || index($path, "$_/") == 0 } @folders); }

sub may_read {
  my ($path) = @_;
  return 1 if $path eq '/dev/null' || $path eq '/dev/urandom';
  return below(real($path), $WORK, @READ, @CODE); }

sub may_write {
  my ($path) = @_;
  return $path eq '/dev/null' || below(real($path), $WORK); }

sub refused {
  my ($path) = @_;
  print STDERR "Confine: refused $path\n";
  $! = Fcntl::EACCES() if defined &Fcntl::EACCES;
  $! ||= 13;
  return; }

#----------------------------------------------------------------------
# Perl's own ways to a file
no warnings 'redefine';

*CORE::GLOBAL::open = sub (*;$@) {
  my ($handle, $mode, @rest) = @_;
  $_[0] = Symbol::gensym() unless defined $_[0];
  $handle = ref $_[0] || ref \$_[0] eq 'GLOB' ? $_[0] : Symbol::qualify_to_ref($_[0], scalar caller);
  return CORE::open($handle) if @_ == 1;
  if (!@rest) {    # mode and name in one string
    return CORE::open($handle, $mode) if $mode =~ /^\s*(?:\+?[<>]{1,2})&=?\s*\w+\s*$/;    # a dup
    my ($sign, $path) = $mode =~ /^\s*(\+?[<>]{0,2})\s*(.*?)\s*$/s;
    return refused($mode) if $path =~ /^\||\|$/ || $path eq '-';
    return refused($path) unless $sign =~ /[>+]/ ? may_write($path) : may_read($path);
    return CORE::open($handle, $mode); }
  if ($mode =~ /^\s*(?:-\||\|-)/) {    # a pipe: only to the program that finds TeX's files
    my ($program) = ($rest[0] =~ m|([^/]+)$|);
    return refused("program $rest[0]") unless ($program // '') eq 'kpsewhich' && @rest > 1;
    return CORE::open($handle, $mode, @rest); }
  my $path = $rest[0];
  return CORE::open($handle, $mode, $path) if !defined $path || ref $path || $mode =~ /&/;
  return refused($path) unless $mode =~ /[>+]/ ? may_write($path) : may_read($path);
  return CORE::open($handle, $mode, $path); };

*CORE::GLOBAL::sysopen = sub (*$$;$) {
  my ($handle, $path, $flags, $permissions) = @_;
  $_[0] = Symbol::gensym() unless defined $_[0];
  $handle = ref $_[0] || ref \$_[0] eq 'GLOB' ? $_[0] : Symbol::qualify_to_ref($_[0], scalar caller);
  my $writes = $flags & (Fcntl::O_WRONLY() | Fcntl::O_RDWR() | Fcntl::O_CREAT());
  return refused($path) unless $writes ? may_write($path) : may_read($path);
  return CORE::sysopen($handle, $path, $flags, $permissions // 0666); };

*CORE::GLOBAL::opendir = sub (*$) {
  my ($handle, $path) = @_;
  $_[0] = Symbol::gensym() unless defined $_[0];
  $handle = ref $_[0] || ref \$_[0] eq 'GLOB' ? $_[0] : Symbol::qualify_to_ref($_[0], scalar caller);
  return refused($path) unless may_read($path);
  return CORE::opendir($handle, $path); };

# `do FILE` runs code. A name without a folder is looked up in @INC, all of which is trusted.
*CORE::GLOBAL::do = sub {
  my ($path) = @_;
  if ($path =~ m{^\.{0,2}/|\.\.} && !below(real($path), @CODE)) {
    $@ = "Confine: refused to run $path\n";
    print STDERR $@;
    return; }
  return CORE::do($path); };

# `require` with a name that climbs out of the library.
unshift(@INC, sub {
    my ($self, $name) = @_;
    die "Confine: refused to run $name\n" if $name =~ m{(?:^|/)\.\.(?:/|$)};
    return; });

#----------------------------------------------------------------------
# LaTeXML's ways to a file and to the network

# Stands for LaTeXML::Util::WWW, which is then never loaded (nor is LWP).
$INC{'LaTeXML/Util/WWW.pm'} = __FILE__;
{ package LaTeXML::Util::WWW;
  our @ISA    = ('Exporter');
  our @EXPORT = qw(&auth_get &url_find &url_split);
  require Exporter;

  sub auth_get {
    my ($address) = @_;
    LaTeXML::Common::Error::Error('www', 'get', undef, "no network: $address is not fetched");
    return ''; }
  sub url_find { return; }

  sub url_split {
    my ($address) = @_;
    return $address =~ m|^(.+)/([^/]+)$| ? ($1, $2) : ($address, 'index.tex'); } }

# Bindings and XML are code or can name other files: only ours and LaTeXML's own are found.
require LaTeXML::Util::Pathname;
for my $finder (qw(pathname_find pathname_findall)) {
  no strict 'refs';
  my $find = \&{"LaTeXML::Util::Pathname::$finder"};
  *{"LaTeXML::Util::Pathname::$finder"} = sub {
    my ($name, %options) = @_;
    my $types = join(' ', grep { defined } $options{type}, @{ $options{types} || [] });
    if (($name // '') =~ /\.(?:ltxml|latexml)$/i || $types =~ /ltxml/i) {
      return if $name =~ m{^/|\.\.} && !below(real($name), @CODE);
      my @paths = grep { below(real($_), @CODE) } @{ $options{paths} || [] };
      $options{paths} = @paths ? \@paths : [@TRUST]; }
    my @found = $find->($name, %options);
    @found = grep { defined && (!/\.xml$/i || below(real($_), @CODE, $WORK)) } @found;
    return $finder eq 'pathname_find' ? $found[0] : @found; }; }

# kpsewhich looks into the article's folder too; TeX's own trees hold no bindings.
{ no strict 'refs';
  my $ask = \&LaTeXML::Util::Pathname::pathname_kpsewhich;
  *LaTeXML::Util::Pathname::pathname_kpsewhich = sub {
    my @names = grep { defined && !/\.(?:ltxml|latexml|xml)$/i } @_;
    my $found = @names ? $ask->(@names) : undef;
    return defined $found && may_read($found) ? $found : undef; }; }

# An absolute name is looked at by -f alone, which would tell what exists.
INIT {
  if (my $find = defined &LaTeXML::Package::FindFile_aux && \&LaTeXML::Package::FindFile_aux) {
    *LaTeXML::Package::FindFile_aux = sub {
      my ($name, @options) = @_;
      return if $name =~ m{^[/~]|\.\.} && !may_read($name);
      return $find->($name, @options); }; } }

#----------------------------------------------------------------------
# The kernel's fence; 0 where it has none.
sub landlock {
  my ($create, $add, $restrict, $prctl) = (444, 445, 446, $ENV{CONFINE_PRCTL} || 157);
  my $abi = syscall($create, 0, 0, 1);
  return 0 if $abi < 1;
  my $files = (1 << ($abi >= 5 ? 16 : $abi >= 3 ? 15 : $abi == 2 ? 14 : 13)) - 1;
  my $rules = $abi >= 6 ? pack('QQQ', $files, 3, 3) : $abi >= 4 ? pack('QQ', $files, 3) : pack('Q', $files);
  my $set = syscall($create, $rules, length($rules), 0);
  return 0 if $set < 0;
  my ($execute, $write, $read, $list, $truncate) = (1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14);
  my $code = $execute | $read | $list;
  my %allowed = map { $_ => $code } @CODE,
    qw(/usr /lib /lib32 /lib64 /bin /sbin /etc/alternatives /etc/perl /etc/texmf /var/lib/texmf),
    split(/\n/, $ENV{CONFINE_PROGRAMS} // '');
  $allowed{$_} = $read | $list for @READ, '/etc/ld.so.cache', '/dev/urandom';
  $allowed{'/dev/null'} = $read | $write;
  $allowed{$WORK} = $files & ~$execute;
  for my $path (keys %allowed) {
    CORE::sysopen(my $handle, $path, 010000000 | 02000000) or next;    # O_PATH | O_CLOEXEC
    my $rights = $allowed{$path};
    $rights &= $execute | $write | $read | $truncate | (1 << 15) unless -d $path;
    my $rule = pack('Ql', $rights & $files, fileno($handle));
    syscall($add, $set, 1, $rule, 0) == 0 or die "Confine: landlock_add_rule $path: $!\n"; }
  syscall($prctl, 38, 1, 0, 0, 0) == 0 or die "Confine: no_new_privs: $!\n";
  syscall($restrict, $set, 0) == 0 or die "Confine: landlock_restrict_self: $!\n";
  return $abi; }

our $ABI = ($ENV{CONFINE_KERNEL} // '1') ? landlock() : 0;

1;
