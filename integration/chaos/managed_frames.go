package chaos

import (
	"bytes"
	"encoding/binary"

	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// frames reads what a node sends over a connection: the answer to the handshake, and then
// frames, which it neither masks nor cuts (RFC 6455 §5.2).
type frames struct {
	rest []byte
	open bool // the handshake is over
}

const (
	finalText  = 0x81
	finalClose = 0x88
)

// take calls each for every frame that is whole.
func (f *frames) take(b []byte, each func(first byte, payload []byte)) {
	f.rest = append(f.rest, b...)
	if !f.open {
		_, after, found := bytes.Cut(f.rest, []byte("\r\n\r\n"))
		if !found || !bytes.HasPrefix(f.rest, []byte("HTTP/1.1 101 ")) {
			return
		}
		f.rest, f.open = after, true
	}
	whole := f.rest
	for {
		payload, after, ok := cutFrame(whole)
		if !ok {
			break
		}
		each(whole[0], payload)
		whole = after
	}
	f.rest = append(f.rest[:0], whole...)
}

// cutFrame returns what the first frame carries, and what is behind it; false: it is not whole.
func cutFrame(b []byte) (payload, after []byte, ok bool) {
	if len(b) < 10 && (len(b) < 2 || b[1] == 127 || b[1] == 126 && len(b) < 4) {
		return nil, nil, false
	}
	n, head := uint64(b[1]), 2
	switch n {
	case 126:
		n, head = uint64(binary.BigEndian.Uint16(b[2:])), 4
	case 127:
		n, head = binary.BigEndian.Uint64(b[2:]), 10
	}
	if uint64(len(b)-head) < n {
		return nil, nil, false
	}
	return b[head : head+int(n)], b[head+int(n):], true
}

// saw writes down what a node sends, and keeps how it ends the connection.
func (w *wire) saw(first byte, payload []byte) {
	switch {
	case first == finalClose && len(payload) >= 2:
		w.code, w.why = int(binary.BigEndian.Uint16(payload)), string(payload[2:])
	case first == finalText:
		m, err := harness.Parse(payload)
		if err != nil || m.Seq() == 0 { // what has no sequence comes from no mailbox
			return
		}
		e := history.Event{Kind: history.Frame, Conn: w.number, Mid: m.Mid(), Seq: m.Seq(), Prev: m.Prev()}
		if m.Type() == "gap" {
			e.Mid = ""
			e.Why, _ = m.At("bdy", "why").(string)
		}
		w.t.c.run.h.Add(e)
	}
}
