package crowd

import (
	"time"
	"unsafe"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
)

// pass is what was read of one partition.
type pass struct {
	epoch uint64 // of the connection that it came over
	from  uint64 // what it began with
	last  uint64 // the sequence of the last message; 0: nothing was read yet
	boxes map[scheme.SID]box
	bytes int
	used  time.Duration // when it was asked last
}

// box is what a pass has of one mailbox.
type box []kept

// kept is a message. At a seam the one before it is of another piece.
type kept struct {
	store.Stored
	seam bool
}

// sizeOf is what a message takes that is kept.
func sizeOf(m *store.Stored) int {
	return int(unsafe.Sizeof(kept{})) + len(m.Payload) + len(m.Trace)
}

// next is where the next piece begins.
func (p *pass) next() uint64 { return max(p.from, p.last+1) }

// goesOn reports whether a session with a position is served by going on with the pass.
func (p *pass) goesOn(after uint64) bool { return p.last != 0 && after >= p.from }

// add takes a piece, and returns how many bytes more it takes.
func (p *pass) add(piece *store.Piece) (grown int) {
	before := p.bytes
	here := make(map[scheme.SID]bool) // mailboxes of which the piece has had a message
	for i := range piece.Msgs {
		m := &piece.Msgs[i]
		one := kept{m.Stored, !here[m.SID]}
		p.boxes[m.SID] = append(p.boxes[m.SID], one)
		p.bytes += sizeOf(&one.Stored)
		here[m.SID] = true
	}
	p.last = max(p.last, piece.Last)
	return p.bytes - before
}

// drop forgets what there is of a mailbox.
func (p *pass) drop(sid scheme.SID) {
	for i := range p.boxes[sid] {
		p.bytes -= sizeOf(&p.boxes[sid][i].Stored)
	}
	delete(p.boxes, sid)
}

// deal returns what there is of a mailbox from a position on, which comes first, if that
// reaches as far as a sequence.
func (p *pass) deal(sid scheme.SID, after, to uint64) (found Found) {
	b := p.boxes[sid]
	first, last := -1, -1
	for i := range b {
		if b[i].Seq <= after {
			first = i
		}
		if b[i].Seq == to {
			last = i
		}
	}
	if first < 0 || last <= first {
		return Found{}
	}
	for i := first; i < len(b); i++ {
		if b[i].seam && i > first && i <= last && found.Witness == 0 {
			found.Witness, found.WitnessTime = b[i-1].Seq, b[i-1].Time
		}
		found.Msgs = append(found.Msgs, b[i].Stored)
	}
	return found
}
