package ownership

import "hydrant/bus/scheme"

// Entry returns the session's entry as this holder has it. It is not to be
// changed; its positions are those of the last write.
func (m *Machine) Entry() *scheme.Entry { return &m.entry }

// Sure reports that an entry of this holder, which was stored under a revision, is of the
// log that there was then.
func (m *Machine) Sure(rev uint64) { m.entry.Sure = rev }

// RolledBack reports that the mailbox's log has gone back: where it once began
// says nothing any more.
func (m *Machine) RolledBack() { m.entry.Start = 0 }
