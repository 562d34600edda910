package kept

// Memory is what a reader remembers of what was set aside of its mailbox, from one question
// to the next. The zero value remembers nothing. It belongs to one reading at a time.
type Memory[M Message] struct {
	seal  *Seal // nil: nothing
	shelf Shelf[M]
	end   uint64 // it has all up to there; 0: up to the seal
	// From start on, which was below what the stream begins with, the mailbox had so many
	// messages before the seal. To read on from there costs a server less than from the seal
	// on, where it has to look at what is beside it, to say how much is left. 0: not known.
	start  uint64
	before int
}

// Empty reports whether it remembers nothing.
func (m *Memory[M]) Empty() bool { return m.seal == nil }

const (
	// shelfBytes bounds what of it is in memory for one session: the beginning.
	shelfBytes = 4 << 20
)

// collector keeps the beginning of what was set aside.
type collector[M Message] struct {
	from  uint64
	items []Item[M]
	bytes int
	end   uint64 // what is from there on was not kept; 0: all was
	low   uint64 // the first message that was there, kept or not
}

// lack notes which of what was set aside before a seal is not there any more.
func (c *collector[M]) lack(there ends, seal uint64) {
	to := seal - 1
	if there.last && c.low != 0 {
		to = c.low - 1
	}
	if (!there.first || !there.last) && to > 0 {
		c.items = append(c.items, Item[M]{From: 1, To: to})
	}
}

func (c *collector[M]) take(_ uint64, it Item[M]) {
	if it.Seq != 0 && (c.low == 0 || it.Seq < c.low) {
		c.low = it.Seq
	}
	if it.Seq != 0 && (it.Seq < c.from || c.end != 0 && it.Seq >= c.end) {
		return
	}
	c.items = append(c.items, it)
	if it.Seq == 0 {
		return
	}
	if c.bytes += it.Msg.Meta().Size; c.bytes <= 2*shelfBytes {
		return
	}
	c.items, c.end = Beginning(c.items, itemSize[M], shelfBytes)
	c.bytes = 0
	for i := range c.items {
		c.bytes += itemSize(&c.items[i])
	}
}

func itemSize[M Message](it *Item[M]) int {
	if it.Seq == 0 {
		return 0
	}
	return it.Msg.Meta().Size
}
