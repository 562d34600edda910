package integration

import (
	"strconv"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// R17: the disk is full. Senders are told, sockets stay, what was accepted
// stays; when there is space again (and the server runs again: nats-server
// gives a stream up whose file could not be written) everything goes on.
func TestDiskIsFull(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "full disk", map[string]string{"EDGE_MAILBOX_STREAMS": "1"})
	from, to := world.Dial(t, node), world.DialAcked(t, node)
	w.PushNumbers(t, to.ID, 0, 3)
	to.WantBodies(0, 3)
	server := w.NATS.Servers[0]
	if err := server.LimitFiles(4096); err != nil {
		t.Fatal(err)
	}
	next := 3
	for delivered(t, to, from, from.Send(object{"to": to.Address(), "bdy": strconv.Itoa(next)})) {
		if next++; next > 1000 {
			t.Fatal("the disk is never full")
		}
	}
	from.Fence()
	to.Fence()
	server.Kill()
	w.RestartNATS(t, node) // the limit was the old process's
	w.Persistent(t, to.ID, 2000, 2003)
	// What the sender was told is not stored may have been, and comes first.
	to.Find(func(m message) bool { return m.Body() == "2000" })
	to.WantBodies(2001, 2003)
	from.Quiet()
}
