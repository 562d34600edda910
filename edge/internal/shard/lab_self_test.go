package shard

import (
	"testing"

	"hydrant/bus/scheme"
)

// TestLab: two nodes; a client is welcomed, served, moves to the other node, and
// gets there what came meanwhile.
func TestLab(t *testing.T) {
	l := newLab(t)
	here, there := l.one(), l.one()
	c := here.dial()
	c.serves()
	l.store(c.id, 0, 3)
	c.gets(0, 3)
	other := there.dial()
	other.resumes(object{"id": string(c.id)})
	l.store(c.id, 3, 5)
	other.gets(3, 5)
	other.drop()
	l.parked(c.id)
	l.store(c.id, 5, 7)
	again := here.dial()
	again.resumes(object{"id": string(c.id)})
	again.gets(5, 7)
	if e := l.entry(c.id); e.Node != here.node.ID || e.State != scheme.StateLive {
		t.Errorf("%+v", e)
	}
}
