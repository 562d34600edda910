package wire

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

const (
	maxControl     = 125            // payload of a control frame (RFC 6455 §5.5)
	maxHeader      = 14             // longest client frame header: 2 + 8 + 4
	maxControlWire = 2 + 4 + 125    // a whole masked control frame
	maxReason      = maxControl - 2 // text beside a close code

	rsv1 = 0x40 // first byte of a frame: "compressed" once RFC 7692 §6 is agreed
	rsv2 = 0x20
	rsv3 = 0x10
)

// header is a frame header as a client sends it (RFC 6455 §5.2).
type header struct {
	length int64
	mask   [4]byte
	op     ws.OpCode
	fin    bool
	rsv1   bool
}

// parseHeader reads the frame header at the start of b. n is its length, or 0 if b
// does not hold all of it. A violation that the first two bytes show is returned
// without waiting for the rest. rsv1 is accepted if deflate is set.
//
// ws.ReadHeader is not used: it takes an io.Reader, and so would need two reads
// and an allocation for bytes that lie in memory already.
func parseHeader(b []byte, deflate bool) (h header, n int, v *violation) {
	if len(b) < 2 {
		return h, 0, nil
	}
	h.fin = b[0]&0x80 != 0
	h.op = ws.OpCode(b[0] & 0x0f)
	h.rsv1 = b[0]&rsv1 != 0
	short := b[1] & 0x7f
	switch {
	case b[0]&(rsv2|rsv3) != 0, h.rsv1 && !deflate:
		return h, 0, errReservedBits
	case h.op.IsReserved():
		return h, 0, errReservedOpcode
	case b[1]&0x80 == 0:
		return h, 0, errUnmasked // RFC 6455 §5.1
	case h.op.IsControl():
		if h.rsv1 {
			return h, 0, errReservedBits // RFC 7692 §6.1: data frames only
		}
		if !h.fin {
			return h, 0, errControlFrag
		}
		if short > maxControl {
			return h, 0, errControlLong
		}
	}
	n = 2 + 4
	switch short {
	case 126:
		if n += 2; len(b) < 4 {
			return h, 0, nil
		}
		if h.length = int64(binary.BigEndian.Uint16(b[2:])); h.length < 126 {
			return h, 0, errLength
		}
	case 127:
		if n += 8; len(b) < 10 {
			return h, 0, nil
		}
		u := binary.BigEndian.Uint64(b[2:])
		if u>>63 != 0 {
			return h, 0, errLengthSign
		}
		if h.length = int64(u); h.length <= 0xffff {
			return h, 0, errLength
		}
	default:
		h.length = int64(short)
	}
	if len(b) < n {
		return h, 0, nil
	}
	h.mask = [4]byte(b[n-4 : n])
	return h, n, nil
}

// appendHeader appends the header of an unmasked, unfragmented frame. first
// is its first byte without FIN.
func appendHeader(dst []byte, first byte, length int) []byte {
	first |= 0x80
	switch {
	case length < 126:
		return append(dst, first, byte(length))
	case length <= 0xffff:
		return append(dst, first, 126, byte(length>>8), byte(length))
	}
	dst = append(dst, first, 127)
	return binary.BigEndian.AppendUint64(dst, uint64(length))
}

// appendClose appends a close frame, which is empty if code is 0 or CodeNoStatus
// (RFC 6455 §7.1.5). reason is cut at a rune, to fit into a control frame.
func appendClose(dst []byte, code uint16, reason string) []byte {
	if code == 0 || code == CodeNoStatus {
		return appendHeader(dst, byte(ws.OpClose), 0)
	}
	if len(reason) > maxReason {
		n := maxReason
		for n > 0 && !utf8.RuneStart(reason[n]) {
			n--
		}
		reason = reason[:n]
	}
	dst = appendHeader(dst, byte(ws.OpClose), 2+len(reason))
	dst = append(dst, byte(code>>8), byte(code))
	return append(dst, reason...)
}

// frameLen returns the length of the server frame at the start of b, which
// this package wrote itself.
func frameLen(b []byte) int {
	switch n := int(b[1] & 0x7f); n {
	case 126:
		return 4 + int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		return 10 + int(binary.BigEndian.Uint64(b[2:]))
	default:
		return 2 + n
	}
}

// parseClose reads the payload of a close frame (RFC 6455 §5.5.1).
func parseClose(p []byte) (code uint16, reason []byte, v *violation) {
	switch len(p) {
	case 0:
		return CodeNoStatus, nil, nil
	case 1:
		return 0, nil, errCloseLength
	}
	code, reason = binary.BigEndian.Uint16(p), p[2:]
	if !validCloseCode(code) {
		return 0, nil, errCloseCode
	}
	if !utf8.Valid(reason) {
		return 0, nil, errCloseUTF8
	}
	return code, reason, nil
}

// validCloseCode reports whether a peer may send the code. It may send registered
// codes (RFC 6455 §7.4.1, and 1012–1014 in the IANA registry), and those of
// libraries and applications. 1004 has no meaning; 1005, 1006 and 1015 must not
// be sent; the rest below 3000 is reserved.
func validCloseCode(code uint16) bool {
	switch {
	case code >= 3000 && code <= 4999:
		return true
	case code >= 1000 && code <= 1014:
		return code != 1004 && code != CodeNoStatus && code != CodeAbnormal
	}
	return false
}

// validPrefix returns how many bytes at the start of p are whole, valid runes, and
// whether the bytes after them can still become one. It recognizes a wrong rune
// before the rune is complete: RFC 6455 §8.1 allows to fail at once, and there is
// no sense in waiting for a text that cannot become valid.
func validPrefix(p []byte) (n int, ok bool) {
	n = len(p)
	for back := 1; back < utf8.UTFMax && back <= len(p); back++ {
		if c := p[len(p)-back]; utf8.RuneStart(c) {
			if !utf8.FullRune(p[len(p)-back:]) {
				n = len(p) - back
			}
			break
		}
	}
	return n, utf8.Valid(p[:n])
}
