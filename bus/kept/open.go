package kept

// Opening is how a round begins with a mailbox. Most have nothing that waits, and need not be
// read: many of them are asked about, and sealed, at a time.
type Opening uint8

const (
	// Settled: it has nothing up to the horizon.
	Settled Opening = iota
	// Sealable: a seal may be sent, which names nothing, and is compared with [Position.Last]. If
	// it is refused the mailbox has more: [Position.Moved], and Closely.
	Sealable
	// Purged: what its entry says of is gone from the stream. Its last message may tell enough:
	// [Position.GoOn]. Else Closely.
	Purged
	// Closely: [Settle] makes sure of it.
	Closely
)

// Open says how to begin. Positions that were stored since a time are of the log that there
// is, whose first message is the given one.
func Open(p *Position, horizon, first uint64, since int64) Opening {
	last, _ := p.Last()
	switch old := p.old(since); {
	case !old && last > horizon:
		return Settled
	case last < first:
		return Purged
	case old:
		return Closely
	}
	return Sealable
}

// Last is the message up to which all was delivered, as the entry says, and when it was
// stored; 0: it says nothing. A position of which nobody knows the time is the word of a
// client, or the end of a gap: another log may have another message there.
func (p *Position) Last() (seq uint64, at int64) {
	switch {
	case p.Back:
	case p.Seen != 0 && p.SeenTime != 0: // the floor may have had a time to live
		return p.Seen, p.SeenTime
	case p.FloorTime != 0:
		return p.Floor, p.FloorTime
	}
	return 0, 0
}

// delivered is up to where all was. What a client only says that it has is copied all the
// same: it shows then what the client means.
func (p *Position) delivered() uint64 {
	last, _ := p.Last()
	if p.Back || p.FloorTime == 0 {
		return last
	}
	return max(last, p.Floor)
}

// old reports whether that may be of another log.
func (p *Position) old(since int64) bool {
	last, at := p.Last()
	return last != 0 && (at <= since || p.Unsure)
}

// GoOn reports whether the mailbox's last message, if that is a seal, tells all, whatever the
// entry says: nothing follows it that is not settled, and it is of the log that there is. Then
// the same seal is sent once more, and compared with it. Any server may have shown it: that
// nothing follows it is for the next one to prove.
func (p *Position) GoOn(seal *Seal, since int64) bool {
	last, _ := p.Last()
	return seal != nil && seal.Seq > max(last, p.Floor) && (!p.old(since) || seal.Time > since)
}
