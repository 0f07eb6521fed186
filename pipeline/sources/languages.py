"""From a file's name to its programming language, in GitHub Linguist's names: a table to read. No content is parsed but the #! line and a few marks."""

import re

_BY_ENDING: dict[str, str] = {}
for _language, _endings in {
    "Ada": "adb ads", "Agda": "agda", "Assembly": "asm nasm s", "AsciiDoc": "asciidoc adoc", "Astro": "astro", "Awk": "awk gawk mawk",
    "Batchfile": "bat cmd", "BibTeX": "bib", "C": "c h idc cats", "C#": "cs csx cake", "C++": "cpp cc cxx c++ hpp hh hxx h++ ipp inl tcc tpp ixx cppm",
    "CMake": "cmake", "COBOL": "cob cbl cobol cpy", "CSS": "css", "CSV": "csv", "Clojure": "clj cljs cljc edn boot", "CoffeeScript": "coffee",
    "Common Lisp": "lisp lsp cl asd", "Coq": "coq", "Crystal": "cr", "Cuda": "cu cuh", "Cython": "pyx pxd pxi", "D": "d di", "Dart": "dart",
    "Diff": "diff patch", "Dockerfile": "dockerfile containerfile", "EJS": "ejs", "Elixir": "ex exs", "Elm": "elm", "Emacs Lisp": "el", "Erlang": "erl hrl",
    "F#": "fs fsi fsx", "Fortran": "f f77 for fpp", "Fortran Free Form": "f90 f95 f03 f08", "GDScript": "gd", "GLSL": "glsl vert frag geom comp tesc tese",
    "Gettext Catalog": "po pot", "Go": "go", "Gradle": "gradle", "GraphQL": "graphql gql", "Graphviz (DOT)": "dot gv", "Groovy": "groovy gvy",
    "HCL": "hcl tf tfvars nomad", "HTML": "html htm xhtml", "Handlebars": "hbs handlebars", "Haskell": "hs hsc", "Haxe": "hx", "INI": "ini cfg prefs properties_",
    "Idris": "idr", "JSON": "json geojson webmanifest jsonl ndjson topojson", "JSON with Comments": "jsonc code-workspace", "JSON5": "json5",
    "Java": "java jav", "Java Properties": "properties", "Java Server Pages": "jsp", "JavaScript": "js mjs cjs jsx es6", "Jinja": "jinja jinja2 j2",
    "Julia": "jl", "Jupyter Notebook": "ipynb", "Kotlin": "kt kts ktm", "Lean": "lean", "Less": "less", "Liquid": "liquid", "LLVM": "ll", "Lua": "lua",
    "Makefile": "mk mak make", "Markdown": "md markdown mdown mkd mdx", "Mathematica": "nb wl wls", "MATLAB": "matlab", "Meson": "meson_", "Metal": "metal",
    "Mustache": "mustache", "NSIS": "nsi nsh", "Nim": "nim nims", "Nix": "nix", "OCaml": "ml mli mll mly", "Objective-C": "m", "Objective-C++": "mm",
    "OpenCL": "opencl", "Org": "org", "PHP": "php php3 php4 php5 phtml", "PLSQL": "pls plb pks pkb", "Pascal": "pas dpr lpr pp_", "Perl": "pl pm t pod_",
    "Pod": "pod", "PostScript": "ps eps", "PowerShell": "ps1 psm1 psd1", "Prisma": "prisma", "Prolog": "pro prolog", "Protocol Buffer": "proto", "Pug": "pug jade",
    "Puppet": "pp", "PureScript": "purs", "Python": "py pyi pyw wsgi", "QML": "qml", "R": "r rd", "RMarkdown": "rmd", "Racket": "rkt", "Raku": "raku rakumod p6",
    "ReScript": "res", "Ruby": "rb rbw gemspec rake ru podspec", "Rust": "rs", "SCSS": "scss", "SQL": "sql ddl dml", "SVG": "svg", "Sass": "sass",
    "Scala": "scala sbt sc", "Scheme": "scm ss sld", "Shell": "sh bash zsh ksh bats command", "Smalltalk": "st", "Solidity": "sol", "Standard ML": "sml sig fun",
    "Starlark": "bzl star bazel", "Stylus": "styl", "Svelte": "svelte", "Swift": "swift", "SystemVerilog": "sv svh", "TOML": "toml", "TSV": "tsv",
    "Tcl": "tcl tm", "TeX": "tex sty cls ltx dtx", "Text": "txt text", "Thrift": "thrift", "Twig": "twig", "TypeScript": "ts mts cts", "TSX": "tsx",
    "VBA": "vba bas", "VHDL": "vhd vhdl", "Vala": "vala vapi", "Verilog": "v vh", "Vim Script": "vim vimrc", "Visual Basic .NET": "vb", "Vue": "vue",
    "WebAssembly": "wat wast", "WebIDL": "webidl", "XML": "xml xsd wsdl xaml csproj vcxproj props targets plist rss atom resx ui", "XSLT": "xsl xslt",
    "YAML": "yml yaml", "Yacc": "y yacc", "Lex": "l lex", "Zig": "zig", "reStructuredText": "rst rest", "fish": "fish",
}.items():  # fmt: skip
    for _ending in _endings.split():
        _BY_ENDING.setdefault(_ending, _language)

_BY_NAME = {
    "makefile": "Makefile", "gnumakefile": "Makefile", "kbuild": "Makefile", "dockerfile": "Dockerfile", "containerfile": "Dockerfile", "cmakelists.txt": "CMake",
    "rakefile": "Ruby", "gemfile": "Ruby", "vagrantfile": "Ruby", "podfile": "Ruby", "brewfile": "Ruby", "jenkinsfile": "Groovy", "build": "Starlark",
    "build.bazel": "Starlark", "workspace": "Starlark", "meson.build": "Meson", "go.mod": "Go Module", "go.sum": "Go Checksums", "sconstruct": "Python",
    "sconscript": "Python", "wscript": "Python", "snakefile": "Snakemake", "readme": "Text", "license": "Text", "licence": "Text", "copying": "Text", "notice": "Text",
    "authors": "Text", "changelog": "Text", "news": "Text", "todo": "Text", "install": "Text", ".bashrc": "Shell", ".profile": "Shell", ".zshrc": "Shell",
    "pkgbuild": "Shell", ".gitignore": "Ignore List", ".dockerignore": "Ignore List", ".gitattributes": "Git Attributes", ".editorconfig": "EditorConfig",
    "cargo.lock": "TOML", "poetry.lock": "TOML", "pipfile": "TOML", "pipfile.lock": "JSON", "composer.lock": "JSON", ".eslintrc": "JSON with Comments",
    "tsconfig.json": "JSON with Comments", "yarn.lock": "YAML", "requirements.txt": "Pip Requirements", "nginx.conf": "Nginx", "justfile": "Just",
}  # fmt: skip
_SHEBANG = re.compile(r"#!\s*\S*?/?(?:env\s+(?:-S\s+)?)?([A-Za-z]+)[\d.]*(?:\s|\Z)")
_INTERPRETERS = {
    "sh": "Shell", "bash": "Shell", "zsh": "Shell", "ksh": "Shell", "dash": "Shell", "fish": "fish", "python": "Python", "pypy": "Python", "perl": "Perl",
    "ruby": "Ruby", "node": "JavaScript", "nodejs": "JavaScript", "deno": "TypeScript", "php": "PHP", "lua": "Lua", "tclsh": "Tcl", "wish": "Tcl", "awk": "Awk",
    "gawk": "Awk", "rscript": "R", "julia": "Julia", "make": "Makefile", "escript": "Erlang", "elixir": "Elixir", "guile": "Scheme", "racket": "Racket",
    "runhaskell": "Haskell", "groovy": "Groovy", "scala": "Scala", "swift": "Swift", "ocaml": "OCaml", "pwsh": "PowerShell",
}  # fmt: skip


def language_of(path: str, beginning: str = "") -> str | None:
    """The language of a file by its name, else by the #! line of its `beginning`; None where neither says it."""
    name = path.rpartition("/")[2].lower()
    if name in _BY_NAME:
        return _BY_NAME[name]
    stem, dot, ending = name.rpartition(".")
    if dot and stem and ending in _BY_ENDING:
        found = _BY_ENDING[ending]
        if found == "Objective-C" and re.match(r"\s*(?:%|function\b|classdef\b)", beginning):
            return "MATLAB"
        return found
    if name.startswith(("dockerfile.", "containerfile.")):
        return "Dockerfile"
    if name.startswith("makefile."):
        return "Makefile"
    if (line := _SHEBANG.match(beginning)) is not None:
        return _INTERPRETERS.get(line.group(1).lower().removesuffix("-"))
    return None
