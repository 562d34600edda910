package protocol

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"hydrant/umf"
)

// AppendRouter appends, as JSON, the address of the router on a node.
func AppendRouter(dst []byte, node, service string) []byte {
	return umf.AppendString(dst, node+"@"+service+":/")
}

// SenderFault is why a message is not taken from its sender.
type SenderFault struct {
	Code Code
	Text string // one sentence
}

// Each is told as it stands here.
var (
	faultLookalike = &SenderFault{CodeInvalid, "A key of the message is one of UMF but for case"}
	faultRouter    = &SenderFault{CodeForbidden, "Only the router speaks for itself: from has its name"}
	faultReserved  = &SenderFault{CodeForbidden, "Only the router writes the headers x-from, x-user, x-seq and x-prev"}
)

// CheckSender returns what would make a receiver take a message for another one, or
// for one of the router, whose service name is router; nil: nothing. signed says that
// the message has to go on as it was signed, so that its headers cannot be mended.
func CheckSender(e *umf.Envelope, router string, signed bool) *SenderFault {
	switch {
	case e.Lookalike():
		return faultLookalike
	case NamesRouter(e, router):
		return faultRouter
	case signed && ReservedFromClients.In(e.Raw(umf.Headers)):
		return faultReserved
	}
	return nil
}

// NamesRouter reports whether the from of a message names the router, whose service
// name is name: the name stands as a word of its own before the path, in whatever
// case. That is more than the addresses of the router, because receivers look at a
// from in their own ways: hydra-router:/, R@hydra-router:/, R@hydra-router, but also
// hydra-router@x:/ and " Hydra-Router". In a path it does so where it looks like an
// address, as in svc:/R@hydra-router:/, because receivers look at the end of a from, or
// anywhere in it; hydra-router:5353 there is a host. A from that is no text but could
// become one names it as well.
func NamesRouter(e *umf.Envelope, name string) bool {
	var buf [128]byte
	from, ok := e.Text(umf.From, buf[:0])
	if !ok {
		raw := e.Raw(umf.From)
		return len(raw) > 0 && (raw[0] == '[' || raw[0] == '{')
	}
	from = bytes.TrimLeft(from, "/")
	inPath, before := false, byte(0) // what stands before the word
	for len(from) > 0 {
		end := wordEnd(from)
		if isRouter(from[:end], name) && (!inPath || endsService(from[end:], before)) {
			return true
		}
		if from = from[end:]; len(from) > 0 {
			before = from[0]
			inPath = inPath || before == '/'
			_, n := utf8.DecodeRune(from)
			from = from[n:]
		}
	}
	return false
}

// endsService reports whether a word of a path ends the service of an address there:
// what follows it is text, and before it stands the byte before.
func endsService(text []byte, before byte) bool {
	if len(text) == 0 {
		return before == '@'
	}
	return text[0] == ':' && (len(text) == 1 || text[1] == '/' || text[1] == '[')
}

// wordEnd returns the index of the first character that no name has, and no letter
// beyond ASCII is, which some take for one of ASCII's.
func wordEnd(text []byte) int {
	i := 0
	for i < len(text) {
		if c := text[i]; c < utf8.RuneSelf {
			if c-'0' > 9 && (c|0x20)-'a' > 25 && c != '-' && c != '_' {
				break
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			break
		}
		i += n
	}
	return i
}

// isRouter reports whether a word is name, whose characters are ASCII, in whatever
// case, as any language has it.
func isRouter(word []byte, name string) bool {
	for len(word) > 0 {
		r, n := utf8.DecodeRune(word)
		if name == "" || unicode.ToLower(unicode.ToUpper(r)) != unicode.ToLower(rune(name[0])) {
			return false
		}
		word, name = word[n:], name[1:]
	}
	return name == ""
}
