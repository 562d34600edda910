package wire

import (
	"fmt"
	"strings"
	"testing"
)

// greek has characters of two and of three bytes.
const greek = "\u03ba\u1f79\u03c3\u03bc\u03b5"

// validTexts are at the borders of UTF-8 (RFC 3629 §3, §4).
func validTexts() []string {
	list := []string{
		"Hello-µ@ßöäüàá-UTF-8!!", greek, "hello$world", "hello¢world", "hello€world", "hello\U00024b62world",
		"\x00", "\x7f", "\u0080", "\u07ff", "\u0800", "\uffff", "\U00010000", "\U0010ffff",
		"\ud7ff", "\ue000", "\ufffd", "\ufff9\ufffa\ufffb\ufffc", "\ufeffBOM",
	}
	for plane := rune(0); plane <= 16; plane++ { // noncharacters are characters here
		list = append(list, string([]rune{plane<<16 | 0xfffe, plane<<16 | 0xffff}))
	}
	return list
}

// invalidTexts are sequences that no text may contain or end with.
func invalidTexts() []string {
	var stray, lonely strings.Builder
	for b := byte(0x80); b < 0xc0; b++ {
		stray.WriteByte(b)
	}
	for b := 0xc0; b <= 0xfd; b++ {
		lonely.Write([]byte{byte(b), ' '})
	}
	list := []string{
		// A continuation that continues nothing.
		"\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf\x80\xbf", stray.String(),
		// A start that nothing continues, or something else.
		lonely.String(), "\xc3\x28", "\xe2\x28\xa1", "\xe2\x82\x28", "\xf0\x28\x8c\xbc", "\xf0\x90\x28\xbc", "\xf0\x28\x8c\x28",
		// The end comes too early.
		"\xc3", "\xdf", "\xe2\x82", "\xef\xbf", "\xf0\x9f\x98", "\xf4\x8f\xbf", "\xc0", "\xe0\x80", "\xf0\x80\x80",
		"\xf7\xbf\xbf", "\xf8\x80\x80\x80", "\xfb\xbf\xbf\xbf", "\xfc\x80\x80\x80\x80", "\xfd\xbf\xbf\xbf\xbf",
		"\xdf\xef\xbf\xf7\xbf\xbf\xfb\xbf\xbf\xbf\xfd\xbf\xbf\xbf\xbf",
		// Longer than need be.
		"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80",
		"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf",
		"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf",
		// Beyond U+10FFFF, five bytes and six.
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf7\xbf\xbf\xbf", "\xf8\x88\x80\x80\x80", "\xfb\xbf\xbf\xbf\xbf",
		"\xfc\x84\x80\x80\x80\x80", "\xfd\xbf\xbf\xbf\xbf\xbf", "\xfe", "\xff", "\xfe\xfe\xff\xff",
		// UTF-16's halves of characters.
		"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf",
		greek + "\xed\xa0\x80edited", greek + "\xf4\x90\x80\x80edited",
	}
	for _, high := range []string{"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf"} {
		list = append(list, high+"\xed\xb0\x80", high+"\xed\xbf\xbf")
	}
	return list
}

// byteWise is a text message with each byte in a fragment of its own, and
// empty ones at both ends.
func byteWise(s string) []byte {
	b := clientFrame(start, "")
	for i := range len(s) {
		b = append(b, clientFrame(more, s[i:i+1])...)
	}
	return append(b, clientFrame(last, "")...)
}

func utf8Rules() (list []rule) {
	for i, s := range validTexts() {
		list = append(list, fine(fmt.Sprintf("8.1 valid %d", i), clientFrame(text, s), got(text, s)),
			fine(fmt.Sprintf("8.1 valid %d, byte by byte", i), byteWise(s), got(text, s)))
	}
	for i, s := range invalidTexts() {
		for _, pad := range []string{"", "pad", strings.Repeat("ä", 70)} {
			list = append(list,
				refused(fmt.Sprintf("8.1 invalid %d after %d bytes", i, len(pad)), 1007, DropUTF8, clientFrame(text, pad+s)),
				refused(fmt.Sprintf("8.1 invalid %d after %d bytes, in fragments", i, len(pad)), 1007, DropUTF8,
					clientFrame(start, pad), clientFrame(more, s[:1]), clientFrame(last, s[1:])))
		}
		list = append(list, refused(fmt.Sprintf("8.1 invalid %d, byte by byte", i), 1007, DropUTF8, byteWise(s)))
	}
	// All beginnings of a text are valid but those that cut a character.
	for i := 1; i < len(greek); i++ {
		s := greek[:i]
		r := fine(fmt.Sprintf("8.1 beginning of %d bytes", i), clientFrame(text, s), got(text, s))
		if s != strings.ToValidUTF8(s, "") {
			r = refused(r.name, 1007, DropUTF8, clientFrame(text, s))
		}
		list = append(list, r)
	}
	return append(list,
		refused("8.1 at once, the message goes on", 1007, DropUTF8, clientFrame(start, "ok\xff")),
		refused("8.1 at once, the frame goes on", 1007, DropUTF8, clientFrame(text, "ok\xff"+strings.Repeat("x", 100))[:20]),
		fine("8.1 binary need not be UTF-8", clientFrame(bin, "\xff\xfe\x80"), got(bin, "\xff\xfe\x80")),
		fine("5.5.2 ping need not be UTF-8", clientFrame(ping, "\xff\xfe\x80"), got(pong, "\xff\xfe\x80")),
	)
}

// TestFailFast: the connection fails on the very byte after which a text
// cannot become valid any more (RFC 6455 §8.1 allows it), be it at the end of
// a fragment or in the middle of a frame; and not a byte earlier.
func TestFailFast(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h := newRecorder(t)
		s := serve(t, o, h, nil)
		for i, invalid := range invalidTexts() {
			whole := "ok " + invalid + " and more"
			wrong := 0 // the byte that decides
			for canBecomeValid([]byte(whole[:wrong+1])) {
				wrong++
			}
			frame := clientFrame(text, whole)
			body := len(frame) - len(whole)
			for name, parts := range map[string][2][]byte{
				"fragments": {clientFrame(start, whole[:wrong]), clientFrame(more, whole[wrong:wrong+1])},
				"a frame":   {frame[:body+wrong], frame[body+wrong : body+wrong+1]},
			} {
				t.Run(fmt.Sprintf("%d in %s", i, name), func(t *testing.T) {
					before := s.Stats().BytesIn
					p := dial(t, s)
					c := h.conn()
					p.send(parts[0])
					want := before + uint64(len(upgradeRequest())+len(parts[0]))
					eventually(t, "all has arrived", func() bool { return s.Stats().BytesIn >= want })
					on(t, c, func() {
						if !c.Open() {
							t.Error("failed too early")
						}
					})
					p.send(parts[1])
					p.wantClose(1007)
					_ = p.Close()
					h.wantClosed(DropUTF8, 1007)
				})
			}
		}
	})
}
