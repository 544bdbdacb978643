package registry_test

import "strings"

// emailVectors maps input to its normalized form; to nothing if it must be refused. 64 and 63 bytes are the
// longest local part and label of RFC 5321 and RFC 1035.
var emailVectors = []struct{ typed, normalized string }{
	// Plain addresses, and what case means.
	{"a@b", "a@b"},
	{"ann@example.com", "ann@example.com"},
	{"Ann@Example.COM", "ann@example.com"},
	{"ANN@EXAMPLE.COM", "ann@example.com"},
	{"  ann@example.com\t\r\n", "ann@example.com"},
	{"\u00a0ann@example.com\u3000", "ann@example.com"},
	{"ann@localhost", "ann@localhost"},
	{"ann@sub.sub.example.co.uk", "ann@sub.sub.example.co.uk"},
	{"ann@123.example", "ann@123.example"},
	{"ann@ex-ample.com", "ann@ex-ample.com"},
	{"1@example.com", "1@example.com"},
	// The local part is opaque: dots, tags and punctuation tell people apart.
	{"a.n.n@gmail.com", "a.n.n@gmail.com"},
	{"ann@gmail.com", "ann@gmail.com"},
	{"ann+news@gmail.com", "ann+news@gmail.com"},
	{"ann-news@example.com", "ann-news@example.com"},
	{"ann_news@example.com", "ann_news@example.com"},
	{"ann@googlemail.com", "ann@googlemail.com"},
	{"!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"},
	{"=?utf-8?q?ann?=@example.com", "=?utf-8?q?ann?=@example.com"},
	{"o'brien@example.com", "o'brien@example.com"},
	// One domain in its two spellings.
	{"ann@bücher.example", "ann@xn--bcher-kva.example"},
	{"ann@Bücher.EXAMPLE", "ann@xn--bcher-kva.example"},
	{"ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"},
	{"ann@XN--BCHER-KVA.example", "ann@xn--bcher-kva.example"},
	{"ann@faß.example", "ann@xn--fa-hia.example"},
	{"ann@fass.example", "ann@fass.example"},
	{"ann@例え.jp", "ann@xn--r8jz45g.jp"},
	{"ann@xn--r8jz45g.jp", "ann@xn--r8jz45g.jp"},
	{"ann@почта.рф", "ann@xn--80a1acny.xn--p1ai"},
	{"ann@gıthub.com", "ann@xn--gthub-n4a.com"}, // dotless i stays different
	{"ann@github.com", "ann@github.com"},
	{"ann@exаmple.com", "ann@xn--exmple-4nf.com"}, // Cyrillic a stays different
	// Spellings that IDNA would map to another domain.
	{"ann@BÜCHER.example", ""},
	{"ann@bu\u0308cher.example", ""}, // decomposed
	{"ann@\u212aey.com", ""},         // Kelvin sign
	{"ann@g\u0130thub.com", ""},      // dotted capital I
	{"ann@ｅxample.com", ""},
	{"ann@ＥＸＡＭＰＬＥ.com", ""},
	{"ann@example。com", ""},
	{"ann@example．com", ""},
	{"ann@example｡com", ""},
	{"ann@ﬁsh.example", ""},
	{"ann@exam\u00adple.com", ""}, // soft hyphen
	{"ann@exam\u200bple.com", ""}, // zero width space
	{"ann@exam\u200dple.com", ""}, // zero width joiner
	{"ann@exam\ufe0fple.com", ""}, // variation selector
	{"ann@①.example", ""},
	{"ann@ℌ.example", ""},
	// Bad A-labels.
	{"ann@xn--a.example", ""},
	{"ann@xn--.example", ""},
	{"ann@xn--example-.com", ""}, // decodes to plain ASCII
	{"ann@xn--BCHER-kvb.example", ""},
	{"ann@xn--a-ecp.ru", ""},
	{"ann@ab--cd.example", ""},
	// The local part is ASCII.
	{"änn@example.com", ""},
	{"\u212ae@example.com", ""},
	{"\u0130@example.com", ""},
	{"\u0131@example.com", ""},
	{"ａnn@example.com", ""},
	{"аnn@example.com", ""},
	{"ann\u200b@example.com", ""},
	{"ann\u00ad@example.com", ""},
	{"ann\u202e@example.com", ""},
	{"ann\xff@example.com", ""},
	{"ann@exam\xffple.com", ""},
	{"\ufeffann@example.com", ""},
	// Not one at sign.
	{"", ""},
	{" ", ""},
	{"@", ""},
	{"ann", ""},
	{"ann@", ""},
	{"@example.com", ""},
	{"ann@@example.com", ""},
	{"ann@bob@example.com", ""},
	{"ann@example.com@evil.example", ""},
	{"ann＠example.com", ""},
	{"ann﹫example.com", ""},
	{"ann＠evil.example@example.com", ""},
	{"ann%evil.example@example.com", "ann%evil.example@example.com"},
	// More than an address.
	{"Ann <ann@example.com>", ""},
	{"<ann@example.com>", ""},
	{"\"Ann\" <ann@example.com>", ""},
	{"ann@example.com (Ann)", ""},
	{"(Ann) ann@example.com", ""},
	{"ann(comment)@example.com", ""},
	{"ann@(comment)example.com", ""},
	{"ann@example.com, bob@example.com", ""},
	{"ann@example.com;bob@example.com", ""},
	{"team: ann@example.com;", ""},
	{"mailto:ann@example.com", ""},
	{"=?utf-8?q?Ann?= <ann@example.com>", ""},
	{"ann@example.com\nBcc: bob@example.com", ""},
	{"ann@example.com\r\n\r\nbody", ""},
	// Quoted local parts, dots and spaces.
	{`"ann"@example.com`, ""},
	{`"ann bob"@example.com`, ""},
	{`"ann@bob"@example.com`, ""},
	{`"a\"b"@example.com`, ""},
	{`""@example.com`, ""},
	{`ann\@bob@example.com`, ""},
	{".ann@example.com", ""},
	{"ann.@example.com", ""},
	{"an..n@example.com", ""},
	{"an n@example.com", ""},
	{"ann @example.com", ""},
	{"ann@ example.com", ""},
	{"ann@exam ple.com", ""},
	{"ann\t@example.com", ""},
	{"ann\x00@example.com", ""},
	{"ann@example.com\x00", ""},
	{"ann@exam\x7fple.com", ""},
	// Domains.
	{"ann@example.com.", ""},
	{"ann@example.com..", ""},
	{"ann@.example.com", ""},
	{"ann@example..com", ""},
	{"ann@.", ""},
	{"ann@-example.com", ""},
	{"ann@example-.com", ""},
	{"ann@exam_ple.com", ""},
	{"ann@exam/ple.com", ""},
	{"ann@example.com:25", ""},
	{"ann@[192.0.2.1]", ""},
	{"ann@[IPv6:2001:db8::1]", ""},
	{"ann@[example.com]", ""},
	{"ann@*.example.com", ""},
	// Lengths.
	{strings.Repeat("a", 64) + "@example.com", strings.Repeat("a", 64) + "@example.com"},
	{strings.Repeat("a", 65) + "@example.com", ""},
	{"ann@" + strings.Repeat("a", 63) + ".com", "ann@" + strings.Repeat("a", 63) + ".com"},
	{"ann@" + strings.Repeat("a", 64) + ".com", ""},
	{"ann@" + strings.Repeat("ü", 63) + ".com", ""}, // too long as an A-label
	{"a@" + strings.Repeat("abcdefg.", 31) + "com", "a@" + strings.Repeat("abcdefg.", 31) + "com"},
	{"aaa@" + strings.Repeat("abcdefg.", 31) + "com", ""}, // 255 bytes
	{strings.Repeat("a", 1<<20) + "@example.com", ""},
}
