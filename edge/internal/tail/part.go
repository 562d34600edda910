package tail

import (
	"encoding/binary"
	"errors"
	"time"
)

// Copy is one message of a mailbox, as it was copied to the node that keeps it.
type Copy struct {
	Seq, Prev uint64        // as the store wrote them down
	Time      int64         // when it was stored, Unix ns; 0: unknown
	Place     bool          // there is nothing for the client: a marker, or its time to live is over
	Holder    uint64        // of a marker; 0: it is none, or of no known form
	TTL       bool          // it has a time to live of its own
	Life      time.Duration // … which is this, from when it came; 0: unknown, and of markers
	Trace     string
	Payload   []byte
}

// Part is what a node hands over at a time.
type Part struct {
	Holder uint64 // who has parked the session
	End    uint64 // of all that the node has
	Copies []Copy // payloads are parts of what was parsed
}

// ErrPart: what came is no part of a tail.
var ErrPart = errors.New("tail: not a part of a tail")

// The form of a part: its number, holder and end, eight bytes each but for the first;
// then records. A record is a byte of flags, the sequence, the one before as its
// distance, and what the flags name, in their order.
const (
	form     = 1
	headSize = 1 + 8 + 8
)

// MaxPart bounds a part, whatever NATS takes: it has all of a tail.
const MaxPart = maxBytes + headSize

// None is a part of a tail that is not there.
var None = appendHead(nil, 0, 0)

const (
	flagPlace   = 1 << iota // no payload follows
	flagTTL                 //
	flagTime                // eight bytes
	flagHolder              // eight bytes
	flagExpires             // eight bytes: on the clock of who keeps it
	flagTrace               // its length, and the text
)

func appendHead(dst []byte, holder, end uint64) []byte {
	dst = append(dst, form)
	dst = binary.BigEndian.AppendUint64(dst, holder)
	return binary.BigEndian.AppendUint64(dst, end)
}

// size bounds what a record takes.
func (c *Copy) size() int {
	return 1 + 2*binary.MaxVarintLen64 + 3*8 + 2*binary.MaxVarintLen32 + len(c.Trace) + len(c.Payload)
}

// append appends the record of a copy that has come now.
func (c *Copy) append(dst []byte, now time.Time) []byte {
	at := len(dst)
	dst = append(dst, 0)
	dst = binary.AppendUvarint(dst, c.Seq)
	dst = binary.AppendUvarint(dst, c.Seq-c.Prev)
	var flags byte
	if c.TTL {
		flags |= flagTTL
	}
	number := func(flag byte, n uint64) {
		if n != 0 {
			flags |= flag
			dst = binary.BigEndian.AppendUint64(dst, n)
		}
	}
	number(flagTime, uint64(c.Time))
	number(flagHolder, c.Holder)
	if c.Life > 0 {
		number(flagExpires, uint64(now.Add(c.Life).UnixNano()))
	}
	if c.Place {
		flags |= flagPlace
		dst[at] = flags
		return dst
	}
	if c.Trace != "" {
		flags |= flagTrace
		dst = binary.AppendUvarint(dst, uint64(len(c.Trace)))
		dst = append(dst, c.Trace...)
	}
	dst[at] = flags
	dst = binary.AppendUvarint(dst, uint64(len(c.Payload)))
	return append(dst, c.Payload...)
}

// record is a copy as it was packed.
type record struct {
	Copy
	expires int64 // Unix ns; 0: never, or it is not known
}

// parser reads numbers and texts as long as there are some.
type parser struct {
	rest []byte
	bad  bool
}

func (p *parser) varint() uint64 {
	n, size := binary.Uvarint(p.rest)
	if size <= 0 {
		p.bad = true
		return 0
	}
	p.rest = p.rest[size:]
	return n
}

func (p *parser) bytes(n uint64) []byte {
	if p.bad || n > uint64(len(p.rest)) {
		p.bad = true
		return nil
	}
	b := p.rest[:n:n]
	p.rest = p.rest[n:]
	return b
}

func (p *parser) number() uint64 {
	if b := p.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// parseRecord reads the first record, and how many bytes it takes.
func parseRecord(b []byte) (r record, size int, ok bool) {
	p := parser{rest: b}
	head := p.bytes(1)
	if p.bad {
		return r, 0, false
	}
	flags := head[0]
	r.Seq = p.varint()
	distance := p.varint()
	if distance == 0 || distance > r.Seq { // it would follow itself, or what is not
		return r, 0, false
	}
	r.Prev = r.Seq - distance
	r.Place, r.TTL = flags&flagPlace != 0, flags&flagTTL != 0
	if flags&flagTime != 0 {
		r.Time = int64(p.number())
	}
	if flags&flagHolder != 0 {
		r.Holder = p.number()
	}
	if flags&flagExpires != 0 {
		r.expires = int64(p.number())
	}
	if flags&flagTrace != 0 {
		r.Trace = string(p.bytes(p.varint()))
	}
	if !r.Place {
		r.Payload = p.bytes(p.varint())
	}
	if p.bad || flags >= flagTrace<<1 {
		return r, 0, false
	}
	return r, len(b) - len(p.rest), true
}

// ParsePart reads a part, with its copies behind those of a slice that is given away. The
// error is [ErrPart]: nothing of it is to be used.
func ParsePart(b []byte, into []Copy) (Part, error) {
	p := parser{rest: b}
	head := p.bytes(1)
	if p.bad || head[0] != form {
		return Part{}, ErrPart
	}
	part := Part{Holder: p.number(), End: p.number(), Copies: into}
	last := uint64(0)
	for !p.bad && len(p.rest) > 0 {
		r, size, ok := parseRecord(p.rest)
		if !ok || r.Seq <= last {
			return Part{}, ErrPart
		}
		last = r.Seq
		p.rest = p.rest[size:]
		part.Copies = append(part.Copies, r.Copy)
	}
	if p.bad || last > part.End {
		return Part{}, ErrPart
	}
	return part, nil
}
