package ownership

import "hydrant/bus/scheme"

// Entry returns the session's entry as this holder has it. It is not to be
// changed; its positions are those of the last write.
func (m *Machine) Entry() *scheme.Entry { return &m.entry }

// RolledBack reports that the mailbox's log has gone back: where it once began
// says nothing any more.
func (m *Machine) RolledBack() { m.entry.Start = 0 }
